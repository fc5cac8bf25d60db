package pages

import "strconv"

// A Poll is what is shown of a poll.
type Poll struct {
	Name, Topic    string
	Epoch, Version uint64
	Known          bool // false while the store could not be read
	Options        []PollOption
	Voters         int
	Waiting        int // votes that only this tab knows of
}

// A PollOption is what can be voted for, and how many have.
type PollOption struct {
	Name  string
	Votes int
}

// Sum is what the title of a poll's page begins with.
func (p Poll) Sum() string {
	if !p.Known {
		return ""
	}
	return plural(p.Voters, "vote")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(int64(n)) + " " + what + "s"
}

// votes is how many an option has, as programs read it; "" when that is not known.
func (p Poll) votes(o PollOption) string {
	if !p.Known {
		return ""
	}
	return strconv.Itoa(o.Votes)
}

// share is how much of a bar is filled.
func (p Poll) share(o PollOption) string {
	return strconv.Itoa(o.Votes * 100 / max(p.Voters, 1))
}
