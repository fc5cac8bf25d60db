package pages

import "strconv"

// A List is what is shown of a list.
type List struct {
	Name, Topic    string
	Epoch, Version uint64
	Known          bool // false while the store could not be read
	Items          []ListItem
	Waiting        int // changes that only this tab knows of
	// Edit is the item that a person without JavaScript is about to rename, with the
	// text that it shall have. Its zero value: nobody is.
	Edit ListItem
}

// A ListItem is one thing in a list. Its ID is of [A-Za-z0-9_-].
type ListItem struct {
	ID, Text string
	Done     bool
}

// maxText is how many letters an item has at most, as the fields of its forms say it.
const maxText = "200"

// A ListSum is how much of a list is done: a part of it that each change may change.
type ListSum struct {
	Known       bool
	Items, Done int
}

// Count is the sum of a list.
func (l List) Count() ListSum {
	sum := ListSum{Known: l.Known, Items: len(l.Items)}
	for _, item := range l.Items {
		if item.Done {
			sum.Done++
		}
	}
	return sum
}

// Sum is what the title of a list's page begins with: nothing. Frames change no more of a list than
// its items and its head.
func (l List) Sum() string { return "" }

// Text is the sum in words; "" when it is not known.
func (s ListSum) Text() string {
	switch {
	case !s.Known:
		return ""
	case s.Items == 0:
		return "Nothing to do"
	case s.Done == s.Items:
		return "All done"
	}
	return grouped(int64(s.Items-s.Done)) + " to do"
}

// checked is whether an item is done, as ARIA says it.
func (i ListItem) checked() string { return strconv.FormatBool(i.Done) }
