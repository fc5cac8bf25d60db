package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Banks is the kind of banks: transfers move money between accounts that can't be
// overdrawn, so that the sum never changes. The value is the balance of each.
func Banks() Kind { return banks{} }

// BankValue is what a bank shows.
func BankValue(balances []int64) string {
	all := make([]string, len(balances))
	for i, n := range balances {
		all[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(all, " ")
}

func readBank(value string) (balances []int64, err error) {
	for _, word := range words(value) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no bank", value)
		}
		balances = append(balances, n)
	}
	return balances, nil
}

type banks struct{}

// Begin implements Kind. A bank has accounts, also one that was never written.
func (banks) Begin(value string) (Ledger, error) {
	before, err := readBank(value)
	if err == nil && len(before) == 0 {
		err = fmt.Errorf("%q is no bank", value)
	}
	return &bank{sum: sum(before), balances: before}, err
}

func sum(balances []int64) (n int64) {
	for _, b := range balances {
		n += b
	}
	return n
}

// A bank is the ledger of one.
type bank struct {
	sum      int64   // of all accounts, for ever
	balances []int64 // with what was applied
	wrong    error   // of a transfer that can't be, and was applied
}

// A transfer moves an amount between two accounts, from 0.
type transfer struct {
	from, to int
	amount   int64
}

// read returns the transfer of an op, or why there can't be such a one whatever
// the balances are.
func (b *bank) read(op *Op) (t transfer, err error) {
	t.from, _ = strconv.Atoi(op.In["from"]) // what is no number is 0, which is no account
	t.to, _ = strconv.Atoi(op.In["to"])
	t.amount, _ = strconv.ParseInt(op.In["amount"], 10, 64)
	t.from, t.to = t.from-1, t.to-1
	n := len(b.balances)
	if op.Do != "transfer" || t.from < 0 || t.from >= n || t.to < 0 || t.to >= n || t.from == t.to || t.amount < 1 || t.amount > b.sum {
		return t, fmt.Errorf("has done %s %v, which can't be done", op.Do, op.In)
	}
	return t, nil
}

func (t transfer) move(balances []int64, times int64) {
	balances[t.from] -= times * t.amount
	balances[t.to] += times * t.amount
}

// Apply implements Ledger.
func (b *bank) Apply(op *Op) {
	t, err := b.read(op)
	if err != nil {
		b.wrong = err
		return
	}
	t.move(b.balances, 1)
}

// Check implements Ledger. Of up to maxSearched transfers that may be in it, it
// finds out whether any of them together make the value; with more it looks at
// one account after the other.
func (b *bank) Check(value string, may []*Op) error {
	got, err := readBank(value)
	switch {
	case err != nil:
		return err
	case b.wrong != nil:
		return b.wrong
	case len(got) != len(b.balances):
		return fmt.Errorf("has %d accounts, and had %d", len(got), len(b.balances))
	case sum(got) != b.sum:
		return fmt.Errorf("has %d in all, and had %d", sum(got), b.sum)
	}
	if i := slices.IndexFunc(got, func(n int64) bool { return n < 0 }); i >= 0 {
		return fmt.Errorf("has overdrawn account %d: %d", i+1, got[i])
	}
	var open []transfer
	for _, op := range may {
		if t, err := b.read(op); err == nil { // otherwise it is refused
			open = append(open, t)
		}
	}
	if err := b.eachAccount(got, open); err != nil {
		return err
	}
	if len(open) <= maxSearched && !makes(slices.Clone(b.balances), got, open) {
		return fmt.Errorf("has %v; no choice of the %d transfers without an answer makes that of %v", got, len(open), b.balances)
	}
	return nil
}

func (b *bank) eachAccount(got []int64, open []transfer) error {
	least, most := slices.Clone(b.balances), slices.Clone(b.balances)
	for _, t := range open {
		least[t.from] -= t.amount
		most[t.to] += t.amount
	}
	for i, n := range got {
		if n < least[i] || n > most[i] {
			return fmt.Errorf("has %d in account %d; what was acknowledged and sent allows %s", n, i+1, span(least[i], most[i]))
		}
	}
	return nil
}

// maxSearched is how many transfers makes may be given: it tries all choices.
const maxSearched = 12

// makes reports whether some of the transfers lead from balances, which it
// restores, to others.
func makes(balances, others []int64, some []transfer) bool {
	if len(some) == 0 {
		return slices.Equal(balances, others)
	}
	if makes(balances, others, some[1:]) {
		return true
	}
	some[0].move(balances, 1)
	defer some[0].move(balances, -1)
	return makes(balances, others, some[1:])
}
