package live

import "time"

// Hooks are told how far changes have come, while somebody wants to know: see package xray. The
// methods are called concurrently, on the paths of all tabs: they must be quick and must not block.
// In a browser they are not called: nobody looks at the replica there, and every tab loads it.
type Hooks interface {
	// Watches reports whether somebody wants to know of a topic. It is asked at each change of it.
	Watches(topic string) bool
	// Reached is called when a state of such a topic has come to a point.
	Reached(m Mark)
}

// A Point is where a state comes by.
type Point uint8

// The points.
const (
	Published Point = iota + 1 // the broker has taken it
	Heard                      // the broker has brought it
	Rendered                   // it is HTML
	Written                    // one of the writers has given it to its tabs, but those that are not done with what they had
	Painted                    // a tab has it on its screen: so the tab says
)

// A Mark says that a state has come to a point.
type Mark struct {
	Point          Point
	Topic          string
	Epoch, Version uint64
	// Began is when the way to the point began, and Ended when it was reached.
	Began, Ended time.Time
	// Who is, of what is written, the writer, from 0 on (see Session.Writer) of Of writers; of what
	// is painted, the session.
	Who uint64
	Of  int
	// Tabs is, of what is written, how many tabs of this writer show the topic.
	Tabs int
}
