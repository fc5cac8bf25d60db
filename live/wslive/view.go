package wslive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"lockstep/htmx"
	"lockstep/live"
)

// viewOf asks the application for the view of a request. When it panics, or has
// none, the tab is closed as with a view that can't be mounted: its connection is
// not net/http's any more, which would close it.
func (h *Handler) viewOf(r *http.Request) (v live.View) {
	defer func() {
		if p := recover(); p != nil {
			v = noView{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	if v = h.view(r); v == nil {
		return noView{errors.New("wslive: the application has no view for this request")}
	}
	return v
}

// noView is a view that can't be mounted.
type noView struct{ err error }

// Mount implements live.View.
func (v noView) Mount(context.Context, *live.Session) error { return v.err }

// HandleEvent implements live.View. It is not called.
func (v noView) HandleEvent(context.Context, *live.Session, htmx.Event) error { return v.err }
