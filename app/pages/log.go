package pages

import (
	"strconv"
	"time"
)

// A Log is what is shown of a log: its newest entries, or older ones.
type Log struct {
	Name, Topic    string
	Epoch, Version uint64
	Known          bool // false while the store could not be read
	Entries        []LogEntry
	// Before is the number of the first entry that is shown, if there are older ones; 0:
	// there are none.
	Before uint64
	// Past is true when older entries are shown, and not the newest.
	Past bool
}

// A LogEntry is one message in a log. Its ID is of [A-Za-z0-9_-].
type LogEntry struct {
	ID       string
	N        uint64 // its number; 0: it has none yet
	At       time.Time
	By, Text string
}

// maxMessage is how many letters a message has at most.
const maxMessage = "500"

// Sum is what the title of a log's page begins with: nothing. Each message would change it.
func (l Log) Sum() string { return "" }

// of is the page of a log: where there is nothing but older entries, there is nothing that a tab
// would render itself.
func (p Page) of(l Log) Page {
	if l.Past {
		p.Renderer = Renderer{}
	}
	return p
}

// older is the address of the entries before the one numbered n.
func (p Page) older(n uint64) string { return p.Links.Before + strconv.FormatUint(n, 10) }

// number is the entry's, as programs read it.
func (e LogEntry) number() string { return strconv.FormatUint(e.N, 10) }

// stamp is when it was written, as programs read it.
func (e LogEntry) stamp() string { return e.At.UTC().Format(time.RFC3339) }

// clock is when it was written, as people read it: by the clock of Greenwich, until a script
// has said it in theirs.
func (e LogEntry) clock() string { return e.At.UTC().Format("15:04 UTC") }

// who is what somebody is called whom nobody knows: the beginning of what their id is.
func (e LogEntry) who() string { return guest(e.By) }

func guest(by string) string {
	if by == "" {
		return "Somebody"
	}
	return "Guest " + string([]rune(by)[:min(len([]rune(by)), 4)])
}

// hue is one of the eight colours of the style sheet, always the same of one person.
func (e LogEntry) hue() string { return "hue-" + colour(e.By) }

// colour is the number of one of eight colours, always the same for a text.
func colour(of string) string {
	var sum byte
	for _, b := range []byte(of) {
		sum = sum*31 + b
	}
	return strconv.Itoa(int(sum % 8))
}
