// Package live keeps what many tabs show in step with shared state.
//
// A Room is one topic's newest state in this replica: it is rendered once for
// each change that is shown, and the same bytes go to every tab in the room.
// A Session is the server side of one tab; a View says which rooms the tab
// shows and what its events do; a Runtime owns them all.
//
// A state may be shown as Items: each is rendered once for each of its revisions, and a tab
// is sent what leads from what it shows to the newest. Feeds show what no store has, and
// what may be lost.
//
// The package is free of transports: wslive carries it over a websocket,
// httplive over plain HTTP, livetest in memory. It is not a store and does not
// make changes durable: a change is given to Rooms.Commit after the store has
// it.
package live

import (
	"context"
	"errors"
	"io"

	"lockstep/htmx"
)

// ErrDraining is returned to a tab that comes while the runtime is shutting
// down, or before it was started.
var ErrDraining = errors.New("live: this replica is shutting down")

// A Component renders HTML; templ components are Components.
type Component interface {
	Render(ctx context.Context, w io.Writer) error
}

// A View is one kind of page, seen by one tab. Its methods are never called
// concurrently for the same session. A panic or an error in one ends that
// session and no other.
type View interface {
	// Mount runs once for each connection of a tab, before its first event:
	// it joins the rooms that the tab shows. It is the one recovery path: a
	// tab that reconnects, to whichever replica, is mounted again.
	Mount(ctx context.Context, s *Session) error
	// HandleEvent handles one action of the tab. It should not wait for long:
	// the tab's next event waits for it. It refuses an action with
	// Session.Refuse; an error is for what should not happen.
	HandleEvent(ctx context.Context, s *Session, e htmx.Event) error
}

// Limiter is implemented by a View that bounds what its tab sends.
type Limiter interface {
	// Allow reports whether the tab may send a message now. It is called once
	// for each message that has come, hellos and malformed ones included, one
	// after the other, and before HandleEvent. A message that it does not allow
	// changes nothing: it is refused, with retry if it has an op. A tab that
	// goes on all the same is closed with ReasonTooManyMessages.
	Allow() bool
}

// Repeater is implemented by a View that bounds how often its tab is sent again what it has been
// sent: a hello of some bytes can ask for all items of a list, as the page that shows them does.
type Repeater interface {
	// Repeat reports whether the tab may be sent again what a hello asks for that is not its first.
	// One that may not be changes nothing but what it says beside that. It is called as Allow is.
	Repeat() bool
}

// A Conn is the connection to one tab as a Session uses it. No method may
// block, or call the session before it has returned.
type Conn interface {
	// Wire returns how messages look on this connection: always the same.
	Wire() *Wire
	// Bind is called once, before all others, with the session that the
	// connection calls Ready on.
	Bind(s *Session)
	// Send takes encoded messages, one or several. It does not change them, and
	// may keep them until they have left. False means that the connection is
	// full: Send is not called again before the connection has called
	// Session.Ready. It is called by one goroutine at a time, and also, to no
	// effect, when the connection has ended; an error ends the connection.
	Send(encoded []byte) (done bool)
	// Close begins to end the connection, and tells the tab why, after what
	// was sent before and as far as that is possible. Then the connection calls
	// Session.Disconnect. Close may be called more than once, and
	// concurrently with Send.
	Close(why Reason)
}
