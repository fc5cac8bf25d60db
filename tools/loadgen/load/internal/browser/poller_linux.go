package browser

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A poller waits for the sockets of a loop, for a time and for a call, with one epoll.
//
// Reading is a raw system call, of which the Go scheduler is not told: the sockets are
// non-blocking, and each delivery is one read, so the difference is a tenth of all time.
type poller struct {
	epoll, timer, wakeup int
	armed                int64 // what the timer is set to, ns
	events               [256]unix.EpollEvent
}

// Numbers of the poller's own descriptors, where others have their tab.
const (
	timerTab  = -1
	wakeupTab = -2
)

func newPoller() (poller, error) {
	p := poller{timer: -1, wakeup: -1}
	var errs [3]error
	p.epoll, errs[0] = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	p.timer, errs[1] = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	p.wakeup, errs[2] = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err := errors.Join(errs[:]...); err != nil {
		return p, err
	}
	return p, errors.Join(p.control(unix.EPOLL_CTL_ADD, p.timer, unix.EPOLLIN, timerTab, 0),
		p.control(unix.EPOLL_CTL_ADD, p.wakeup, unix.EPOLLIN, wakeupTab, 0))
}

// wait returns the number of events, after at most until the time until; now is the time.
func (p *poller) wait(until, now int64) int {
	if until <= now {
		return p.poll(0)
	}
	if until != p.armed {
		p.armed = until
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(until - now)}
		if err := unix.TimerfdSettime(p.timer, 0, &spec, nil); err != nil {
			return p.poll(1)
		}
	}
	return p.poll(-1)
}

func (p *poller) poll(timeout int) int {
	n, err := unix.EpollWait(p.epoll, p.events[:], timeout)
	if err != nil {
		return 0 // EINTR
	}
	return n
}

// event is event i of those that wait has counted. It returns false for the poller's own
// descriptors.
func (p *poller) event(i int) (event, bool) {
	e := p.events[i]
	if e.Fd < 0 {
		var count [8]byte
		fd := p.timer
		if e.Fd == wakeupTab {
			fd = p.wakeup
		} else {
			p.armed = 0
		}
		_, _ = unix.Read(fd, count[:]) // EAGAIN if it was set anew
		return event{}, false
	}
	return event{tab: e.Fd, life: uint32(e.Pad), writable: e.Events&unix.EPOLLOUT != 0,
		readable: e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0,
		ended:    e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0}, true
}

// wake ends a wait. Any goroutine may call it.
func (p *poller) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(p.wakeup, one[:]) // EAGAIN: it is awake
}

func (p *poller) close() {
	for _, fd := range []int{p.epoll, p.timer, p.wakeup} {
		_ = unix.Close(fd) // nothing is lost with it
	}
}

func (p *poller) control(op, fd int, events uint32, tab int32, life uint32) error {
	return unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: tab, Pad: int32(life)})
}

// A polled socket is a descriptor that its loop's poller waits for.
type polled struct {
	poll *poller
	fd   int
	tab  int32
	life uint32
	out  []byte // what the kernel had no room for
}

// attach takes a connection over. Nil: it could not, and the connection is as it was.
func (p *poller) attach(conn *net.TCPConn, tab int32, life uint32) socket {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	err = raw.Control(func(old uintptr) {
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			fd = -1
		}
	})
	if err != nil || fd < 0 {
		return nil
	}
	if p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP, tab, life) != nil {
		_ = unix.Close(fd) // conn still has the connection
		return nil
	}
	_ = conn.Close() // fd has the connection
	return &polled{poll: p, fd: fd, tab: tab, life: life}
}

func (s *polled) write(b []byte) error {
	if len(s.out) > 0 {
		s.out = append(s.out, b...)
		return nil
	}
	n, err := unix.Write(s.fd, b)
	if err != nil && err != unix.EAGAIN {
		return err
	}
	if n = max(n, 0); n < len(b) {
		s.out = append(s.out, b[n:]...)
		return s.want(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLOUT)
	}
	return nil
}

func (s *polled) text(message []byte, chance *rand.Rand) error {
	return s.write(appendFrame(nil, opText, message, chance))
}

func (s *polled) flush() error {
	b := s.out
	s.out = nil
	if err := s.want(unix.EPOLLIN | unix.EPOLLRDHUP); err != nil || len(b) == 0 {
		return err
	}
	return s.write(b)
}

func (s *polled) read(b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return 0, nil
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

func (s *polled) want(events uint32) error {
	return s.poll.control(unix.EPOLL_CTL_MOD, s.fd, events, s.tab, s.life)
}

func (s *polled) pause()  { _ = s.want(0) }                              // an error shows in the next write
func (s *polled) resume() { _ = s.want(unix.EPOLLIN | unix.EPOLLRDHUP) } // likewise
func (s *polled) close()  { _ = unix.Close(s.fd) }                       // it leaves the epoll by that

// lateBind leaves the choice of the port to connect, which knows the other end: so each pair of
// addresses has all ports.
func lateBind(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // a hint
	})
}
