package app

import (
	"context"
	"errors"
	"fmt"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/state"
)

// The accounts of a bank, and what each has at the beginning. Transfers move it:
// the sum never changes.
const (
	Accounts       = 12
	OpeningBalance = 100
)

// A Bank is what each account has.
type Bank struct {
	Balances [Accounts]int64 `json:"balances"`
}

// Banks is the kind of the demo's banks.
func Banks() state.Kind[Bank] {
	type transfer struct {
		From, To int // 1 to Accounts
		Amount   int64
	}
	return state.Kind[Bank]{
		Name: "bank",
		New: func() (b Bank) {
			for i := range b.Balances {
				b.Balances[i] = OpeningBalance
			}
			return b
		},
		Actions: map[string]state.Action[Bank]{
			"transfer": state.Do(func(b Bank, in transfer, _ state.Call) (Bank, error) {
				switch {
				case in.From < 1 || in.From > Accounts || in.To < 1 || in.To > Accounts:
					return b, fmt.Errorf("accounts are numbered from 1 to %d", Accounts)
				case in.From == in.To:
					return b, errors.New("this is one and the same account")
				case in.Amount < 1:
					return b, errors.New("the amount must be 1 or more")
				case b.Balances[in.From-1] < in.Amount:
					return b, fmt.Errorf("account %d has only %d", in.From, b.Balances[in.From-1])
				}
				b.Balances[in.From-1] -= in.Amount
				b.Balances[in.To-1] += in.Amount
				return b, nil
			}),
		},
	}
}

// banks adds the kind.
func banks(a *lockstep.App) func(context.Context, string) (Content, string, error) {
	kind := lockstep.ShareWith(a, lockstep.SharedOptions[Bank]{Kind: Banks(), ValidKey: ValidName, Look: lookOfBank})
	return func(ctx context.Context, name string) (Content, string, error) {
		s, err := kind.Show(ctx, name)
		props := bankProps(s)
		return bankContent{props}, props.Sum(), err
	}
}

// lookOfBank is how a bank looks.
func lookOfBank(s lockstep.Shown[Bank]) (string, lockstep.Component) {
	return "#live", pages.BankView(bankProps(s))
}

func bankProps(s lockstep.Shown[Bank]) pages.Bank {
	return pages.Bank{
		Name: s.Key, Topic: s.Topic, Epoch: s.Epoch, Version: s.Version, Known: s.Known,
		Balances: s.State.Balances[:], Waiting: s.Waiting,
	}
}

// A bankContent is what the page of one is about.
type bankContent struct{ bank pages.Bank }

// Document implements Content.
func (c bankContent) Document(p pages.Page) live.Component {
	return pages.BankPage(p, c.bank)
}

// Body implements Content.
func (c bankContent) Body(p pages.Page) live.Component { return pages.BankBody(p, c.bank) }
