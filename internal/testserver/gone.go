package testserver

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// Gone returns an address, host:port, from which nothing comes back, as if its host were gone: a
// connection to it is neither made nor refused.
func Gone(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = socket.Close() }) // nobody was answered
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(socket) // only to ask for its address: nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // the socket stays
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() }) // the same
	}
	t.Fatalf("testserver: %s takes connections that nobody accepts", addr)
	return ""
}
