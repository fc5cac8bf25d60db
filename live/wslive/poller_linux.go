//go:build amd64 || arm64

package wslive

import (
	"os"
	"syscall"
)

// A poller waits for all connections at once, so that a tab that says nothing
// costs no goroutine: an epoll of its own, which in turn is waited for by Go's.
type poller struct {
	file *os.File // the epoll
	raw  syscall.RawConn
	fd   int
}

// newPoller returns a poller, or nil where there can be none.
func newPoller() *poller {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil
	}
	return p
}

// interest is for one event: then the descriptor is silent until rearm.
const interest = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT

// add makes run report once, by number, that fd can be read. The caller makes
// sure that fd is still what it means. Closing fd takes it out.
func (p *poller) add(fd int, number uint64) error {
	return p.control(syscall.EPOLL_CTL_ADD, fd, number)
}

// rearm makes run report it once more.
func (p *poller) rearm(fd int, number uint64) error {
	return p.control(syscall.EPOLL_CTL_MOD, fd, number)
}

// control keeps the number in the event: by the time that one is dealt with,
// the descriptor may be another connection's.
func (p *poller) control(op, fd int, number uint64) error {
	return syscall.EpollCtl(p.fd, op, fd, &syscall.EpollEvent{Events: interest, Fd: int32(number), Pad: int32(number >> 32)})
}

// run calls f with the number of each connection that can be read, until close.
func (p *poller) run(f func(number uint64)) {
	events := make([]syscall.EpollEvent, 256)
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && err != syscall.EINTR
		})
		if err != nil || n < 0 {
			return // closed
		}
		for _, e := range events[:n] {
			f(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
	}
}

func (p *poller) close() { _ = p.file.Close() } // nothing is lost with it
