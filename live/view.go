package live

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"lockstep/htmx"
)

// Viewed returns the view that ask gets from an application, for a transport.
// When ask panics, or returns nil, it is a view that can't be mounted: where a
// transport asks, the panic may be nobody's, and would end the process.
func Viewed(ask func() View) (v View) {
	defer func() {
		if p := recover(); p != nil {
			v = noView{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	if v = ask(); v == nil {
		return noView{errors.New("live: the application has no view for this request")}
	}
	return v
}

// noView is a view that can't be mounted.
type noView struct{ err error }

// Mount implements View.
func (v noView) Mount(context.Context, *Session) error { return v.err }

// HandleEvent implements View. It is not called.
func (v noView) HandleEvent(context.Context, *Session, htmx.Event) error { return v.err }
