//go:build !linux

package browser

import (
	"net"
	"syscall"
	"time"
)

// A poller waits for a time or a call. Where there is no epoll all sockets are plain.
type poller struct{ calls chan struct{} }

func newPoller() (poller, error) { return poller{calls: make(chan struct{}, 1)}, nil }

// wait returns 0, after at most until the time until; now is the time.
func (p *poller) wait(until, now int64) int {
	t := time.NewTimer(time.Duration(until - now))
	defer t.Stop()
	select {
	case <-p.calls:
	case <-t.C:
	}
	return 0
}

// event is never called: there are none.
func (p *poller) event(int) (event, bool) { return event{}, false }

// wake ends a wait. Any goroutine may call it.
func (p *poller) wake() {
	select {
	case p.calls <- struct{}{}:
	default: // it is awake
	}
}

func (p *poller) close() {}

// attach takes nothing over.
func (p *poller) attach(*net.TCPConn, int32, uint32) socket { return nil }

func lateBind(_, _ string, _ syscall.RawConn) error { return nil }
