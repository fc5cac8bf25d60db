//go:build amd64 || arm64

package wslive

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"syscall"
	"testing"

	"lockstep/live"
)

// lent is a response whose connection can be taken over.
type lent struct {
	*httptest.ResponseRecorder
	c net.Conn
}

func (w lent) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.c, bufio.NewReadWriter(bufio.NewReader(w.c), bufio.NewWriter(w.c)), nil
}

func TestTheKernelGivesUpAPeerThatVanishes(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   *Options
		wrap   func(net.Conn) net.Conn
		direct bool // written to by its descriptor
	}{
		{"by descriptor", nil, func(c net.Conn) net.Conn { return c }, true},
		{"by net.Conn", &Options{Plain: true}, func(c net.Conn) net.Conn { return c }, false},
		{"by TLS", nil, func(c net.Conn) net.Conn { return tls.Server(c, nil) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := live.NewRuntime(nil)
			h := NewHandler(rt, nil, c.opts)
			defer h.Close()
			ours, theirs := pair(t)
			defer theirs.Close()
			conn, err := h.hijack(lent{httptest.NewRecorder(), c.wrap(ours)}, new(reader))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Conn.Close()
			if got := conn.fd >= 0; got != c.direct {
				t.Errorf("by descriptor: got %v, want %v", got, c.direct)
			}
			got, err := syscall.GetsockoptInt(descriptor(ours), syscall.IPPROTO_TCP, tcpUserTimeout)
			if err != nil || got != int(vanished.Milliseconds()) {
				t.Errorf("got TCP_USER_TIMEOUT %d, %v, want %d", got, err, vanished.Milliseconds())
			}
		})
	}
}

// pair returns the two ends of a connection.
func pair(t *testing.T) (*net.TCPConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return ours.(*net.TCPConn), theirs
}
