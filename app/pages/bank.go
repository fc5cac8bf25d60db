package pages

import "strconv"

// A Bank is what is shown of a bank.
type Bank struct {
	Name, Topic    string
	Epoch, Version uint64
	Known          bool    // false while the store could not be read
	Balances       []int64 // of the accounts from 1 on
	Waiting        int     // transfers that only this tab knows of
}

// Sum is what the title of a bank's page begins with.
func (b Bank) Sum() string {
	if !b.Known {
		return ""
	}
	return grouped(b.total())
}

func (b Bank) total() (sum int64) {
	for _, n := range b.Balances {
		sum += n
	}
	return sum
}

// balance is what an account has, as programs read it; "" when that is not known.
func (b Bank) balance(n int64) string {
	if !b.Known {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func account(i int) string { return strconv.Itoa(i + 1) }
