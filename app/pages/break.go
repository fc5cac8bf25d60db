package pages

import (
	"strconv"
	"time"

	"github.com/a-h/templ"
)

// A Breakage is what is broken on purpose, and what a judge says of it.
type Breakage struct {
	Replicas []Breakable
	Report   Report
	Bursting bool // many clicks are under way
	// Form returns the form of an action, around its button.
	Form func(do string, fields ...string) Component
}

// A Component is one of templ.
type Component = templ.Component

// A Breakable is a replica, and its fault.
type Breakable struct {
	Name  string
	Fault string // "": it has none
	N     int    // of the fault
	Left  int    // seconds
}

// A Report is what a judge says of a fleet of tabs.
type Report struct {
	Since time.Time `json:"since"` // zero: nothing is judged yet
	// Clicks to IllMS are of what is judged.
	Clicks, Faults, Lost, Twice, Broken int
	WorstMS, IllMS                      int
	// What is under way.
	Tabs, Connected, Open, Waiting, Loose int
}

// holds reports whether nothing is wrong.
func (r Report) holds() bool { return r.Lost == 0 && r.Twice == 0 && r.Broken == 0 }

func (r Report) since() string { return r.Since.UTC().Format("15:04") + " UTC" }

// many is a number with what it counts.
func many(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(int64(n)) + " " + more
}

// now says what is under way.
func (r Report) now() string {
	text := strconv.Itoa(r.Connected) + " of " + many(r.Tabs, "tab", "tabs") + " connected"
	if r.Open > 0 || r.Loose > 0 {
		text += "; not judged yet: " + many(r.Open, "click", "clicks") + ", " + many(r.Loose, "fault", "faults")
	}
	if r.Waiting > 0 {
		text += "; " + many(r.Waiting, "click waits", "clicks wait")
	}
	return text + "."
}

// A mishap is what can be done to a replica.
type mishap struct{ what, label, now string }

func mishaps() []mishap {
	return []mishap{
		{"cut", "Cut broker link", "Cut off from the broker"},
		{"drop", "Drop 30 % of messages", "Loses 30 % of messages"},
		{"freeze", "Freeze", "Frozen"},
		{"kill", "Kill", "Killed"},
	}
}

// now is what has become of a replica.
func (b Breakable) now() string {
	for _, m := range mishaps() {
		if m.what == b.Fault {
			return m.now
		}
	}
	return "Well"
}

// left is how long that goes on.
func (b Breakable) left() string {
	if b.Fault == "kill" {
		return "restarts in " + strconv.Itoa(b.Left) + " s"
	}
	return strconv.Itoa(b.Left) + " s left"
}

// end is what ends it.
func (b Breakable) end() string {
	if b.Fault == "kill" {
		return "Restart now"
	}
	return "End it now"
}
