package app

import (
	"errors"
	"fmt"

	"lockstep/components"
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

// lookOfBank is how a bank looks.
func lookOfBank(name string, s shown[Bank], waiting int) (string, live.Component) {
	return "#live", components.BankView(bankProps(name, s, s.err == nil, waiting))
}

func bankProps(name string, s shown[Bank], known bool, waiting int) components.Bank {
	return components.Bank{
		Name: name, Topic: s.topic, Epoch: s.Epoch, Version: s.Version, Known: known,
		Balances: s.state.Balances[:], Waiting: waiting,
	}
}

// pageOfBank is what a page of it shows.
func pageOfBank(name string, s shown[Bank], known bool) (Content, string) {
	props := bankProps(name, s, known, 0)
	return bankContent{props}, props.Sum()
}

// A bankContent is what the page of one is about.
type bankContent struct{ bank components.Bank }

// Document implements Content.
func (c bankContent) Document(p components.Page) live.Component {
	return components.BankPage(p, c.bank)
}

// Body implements Content.
func (c bankContent) Body(p components.Page) live.Component { return components.BankBody(p, c.bank) }
