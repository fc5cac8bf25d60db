package faultproxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/faultproxy"
)

// echo starts a server that sends back what it gets after its name.
func echo(t *testing.T, name string) (addr string) {
	t.Helper()
	return echoOn(t, "tcp", "127.0.0.1:0", name)
}

func echoOn(t *testing.T, network, at, name string) (addr string) {
	t.Helper()
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				if _, err := io.WriteString(c, name); err == nil {
					_, _ = io.Copy(c, c) // ends with the connection
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// silent checks that nothing comes for a moment.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("got %d bytes and %v, want silence", n, err)
	}
}

func TestAProxyPassesEverythingAndCuts(t *testing.T) {
	p := faultproxy.New(t, "127.0.0.1:1", echo(t, "a"))
	c := dial(t, p.Addr)
	hear(t, c, "a")
	say(t, c, "hello")
	hear(t, c, "hello")
	p.Cut()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v after Cut, want a reset", err)
	}
	hear(t, dial(t, p.Addr), "a")
}

func TestAProxyOfAUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "echo") // a path that is short enough
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := faultproxy.New(t, echoOn(t, "unix", filepath.Join(dir, "socket"), "a"))
	c, err := net.Dial("unix", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hear(t, c, "a")
	p.Stall(true)
	say(t, c, "later")
	silent(t, c)
	p.Stall(false)
	hear(t, c, "later")
	p.Cut()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("got %v after Cut, want the end", err)
	}
}

func TestAStalledProxyHoldsBackAndGoesOn(t *testing.T) {
	p := faultproxy.New(t, echo(t, "a"))
	old := dial(t, p.Addr)
	hear(t, old, "a")
	p.Stall(true)
	say(t, old, "later")
	silent(t, old)
	fresh := dial(t, p.Addr) // is accepted
	silent(t, fresh)
	p.Stall(false)
	hear(t, old, "later")
	hear(t, fresh, "a")

	p.StallAnswers(true)
	say(t, old, "heard")
	silent(t, old)
	p.StallAnswers(false)
	hear(t, old, "heard")
}

func TestAHoleSwallowsWhatThereIs(t *testing.T) {
	p := faultproxy.New(t, echo(t, "a"))
	old := dial(t, p.Addr)
	hear(t, old, "a")
	p.Hole()
	say(t, old, "lost")
	silent(t, old)
	hear(t, dial(t, p.Addr), "a")
	p.Cut()
	ends(t, old)
}

// mortal starts a server that says hello once; kill resets its connection.
func mortal(t *testing.T) (addr string, kill func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan *net.TCPConn, 1)
	var running sync.WaitGroup
	running.Go(func() { // ends with l
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "hello") // the test hears what is missing
			accepted <- c.(*net.TCPConn)
		}
	})
	t.Cleanup(running.Wait)
	return l.Addr().String(), func() {
		c := <-accepted
		_ = c.SetLinger(0) // a reset
		_ = c.Close()
	}
}

func TestAStalledProxyHidesThatTheServerHasDied(t *testing.T) {
	for name, stall := range map[string]func(*faultproxy.Proxy, bool){
		"both ways":    (*faultproxy.Proxy).Stall,
		"answers only": (*faultproxy.Proxy).StallAnswers,
	} {
		t.Run(name, func(t *testing.T) {
			addr, kill := mortal(t)
			p := faultproxy.New(t, addr)
			c := dial(t, p.Addr)
			hear(t, c, "hello")
			stall(p, true)
			kill()
			silent(t, c)
			say(t, c, "anybody there?") // is sent to a server that is gone
			silent(t, c)
			stall(p, false)
			ends(t, c)
		})
	}
}

func TestAProxyThatIsStalledTakesConnectionsWithoutAServer(t *testing.T) {
	up := echo(t, "a")
	p := faultproxy.New(t, "127.0.0.1:1")
	p.Stall(true)
	c := dial(t, p.Addr)
	silent(t, c)
	p.Target(up)
	p.Stall(false)
	hear(t, c, "a")
}

func TestAStalledConnectionCanBeCut(t *testing.T) {
	p := faultproxy.New(t, echo(t, "a"))
	c := dial(t, p.Addr)
	hear(t, c, "a")
	p.Stall(true)
	say(t, c, "lost")
	fresh := dial(t, p.Addr)
	silent(t, fresh)
	p.Cut()
	ends(t, c)
	ends(t, fresh)
}

func TestAStalledProxyStopsReading(t *testing.T) {
	p := faultproxy.New(t, echo(t, ""))
	p.Stall(true)
	c := dial(t, p.Addr)
	const most = 256 << 20 // bytes, far more than the kernel buffers
	block := make([]byte, 1<<20)
	for sent := 0; sent < most; {
		if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Write(block)
		if sent += n; err != nil {
			return // nobody reads any more
		}
	}
	t.Errorf("a stalled proxy took %d bytes", most)
}

// ends checks that a connection is over.
func ends(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || (errors.As(err, &timeout) && timeout.Timeout()) {
		t.Fatalf("got %d bytes and %v, want the end of the connection", n, err)
	}
}

func TestAProxyRefuses(t *testing.T) {
	p := faultproxy.New(t, echo(t, "a"))
	c := dial(t, p.Addr)
	hear(t, c, "a")
	p.Refuse(true)
	for _, c := range []net.Conn{c, dial(t, p.Addr)} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("got an answer from a proxy that refuses")
		}
	}
	p.Refuse(false)
	hear(t, dial(t, p.Addr), "a")
}

func TestAProxyIsLateAndGoesElsewhere(t *testing.T) {
	a, b := echo(t, "a"), echo(t, "b")
	p := faultproxy.New(t, a)
	p.Target(b)
	p.Delay(50 * time.Millisecond)
	began := time.Now()
	c := dial(t, p.Addr)
	hear(t, c, "b")
	say(t, c, "x")
	hear(t, c, "x")
	if d := time.Since(began); d < 150*time.Millisecond {
		t.Errorf("three ways took %v, want 50 ms each", d)
	}
	if got, want := p.Rewrite("redis://u:p@10.0.0.1:6379/1?x=y"), "redis://u:p@"+p.Addr+"/1?x=y"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
