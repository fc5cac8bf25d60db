package faults_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/faults"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A broker is what it was, and its links break as those of a real one.
func TestConformance(t *testing.T) {
	made := make(map[driver.Driver]*faults.Replica)
	drivertest.Run(t, drivertest.Harness{
		Driver: func(testing.TB) driver.Driver {
			r := faults.New()
			d := r.Driver(mempubsub.NewBus())
			made[d] = r
			return d
		},
		Break: func(_ testing.TB, d driver.Driver) {
			made[d].Cut()
			made[d].Mend()
		},
	})
}

// open opens a connection to the broker that hears a topic.
func open(t *testing.T, d driver.Driver) driver.Conn {
	t.Helper()
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t *testing.T, c driver.Conn, n int) {
	t.Helper()
	for i := range n {
		if err := c.Publish(t.Context(), "x", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALinkThatIsCutBreaksAndCantBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, bus := faults.New(), mempubsub.NewBus()
		d := r.Driver(bus)
		c := open(t, d)
		heard := make(chan error, 1)
		go func() { // ends with the link
			_, err := c.Receive(t.Context())
			heard <- err
		}()
		synctest.Wait()
		r.Cut()
		if err := <-heard; !errors.Is(err, faults.ErrCut) {
			t.Errorf("Receive: got %v", err)
		}
		if err := c.Publish(t.Context(), "x", nil); !errors.Is(err, faults.ErrCut) {
			t.Errorf("Publish: got %v", err)
		}
		if _, err := d.Open(t.Context()); !errors.Is(err, faults.ErrCut) {
			t.Errorf("Open: got %v", err)
		}
		r.Mend()
		publish(t, open(t, d), 1)
	})
}

func TestAShareOfTheMessagesIsLost(t *testing.T) {
	r, bus := faults.New(), mempubsub.NewBus()
	c, sender := open(t, r.Driver(bus)), open(t, bus)
	const n = 300 // more overflow the queue of the broker in memory
	got := func(share float64) (heard int) {
		r.Drop(share)
		publish(t, sender, n)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := c.Receive(ctx)
			cancel()
			if err != nil {
				return heard
			}
			heard++
		}
	}
	if some := got(.3); some < 150 || some > 270 {
		t.Errorf("got %d of %d with a share of 0.3 lost", some, n)
	}
	if all := got(0); all != n {
		t.Errorf("got %d of %d with nothing lost", all, n)
	}
}

// TestWhatIsFrozenWaitsAndIsNotLost is of broker and store.
func TestWhatIsFrozenWaitsAndIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, bus := faults.New(), mempubsub.NewBus()
		c, sender, store := open(t, r.Driver(bus)), open(t, bus), r.Store(memstate.New(nil))
		r.Freeze()
		publish(t, sender, 3)
		read := make(chan error, 1)
		go func() { // ends when it is thawed
			_, err := store.Read(t.Context(), "counter:x")
			read <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if m, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v while it is frozen", m, err)
		}
		select {
		case err := <-read:
			t.Errorf("the store has answered: %v", err)
		default:
		}
		r.Thaw()
		for i := range 3 {
			if m, err := c.Receive(t.Context()); err != nil || string(m.Payload) != fmt.Sprint(i) {
				t.Errorf("got %q, %v, want %d", m.Payload, err, i)
			}
		}
		if err := <-read; err != nil {
			t.Errorf("Read: %v", err)
		}
	})
}

func TestOneThatWasKilledReachesNothing(t *testing.T) {
	r, bus, backing := faults.New(), mempubsub.NewBus(), memstate.New(nil)
	d, s := r.Driver(bus), r.Store(backing)
	c := open(t, d)
	r.Freeze()
	late := make(chan []state.Outcome, 1)
	go func() { late <- s.Commit(t.Context(), state.Step{Topic: "counter:x", Data: []byte("1 1")}) }() // ends with Kill
	r.Kill()
	r.Kill() // harmless
	r.Thaw()
	if out := <-late; !errors.Is(out[0].Err, faults.ErrKilled) {
		t.Errorf("Commit: got %v", out[0].Err)
	}
	if err := c.Publish(t.Context(), "x", nil); !errors.Is(err, faults.ErrKilled) {
		t.Errorf("Publish: got %v", err)
	}
	if _, err := s.Read(t.Context(), "counter:x"); !errors.Is(err, faults.ErrKilled) {
		t.Errorf("Read: got %v", err)
	}
	if records, err := backing.Read(t.Context(), "counter:x"); err != nil || records[0].Version != 0 {
		t.Errorf("got %+v, %v: what it had begun has come to the store", records, err)
	}
	r.Revive()
	if _, err := d.Open(t.Context()); !errors.Is(err, faults.ErrKilled) {
		t.Errorf("what is left of it opens another link: %v", err)
	}
	open(t, r.Driver(bus))
}

// echo answers each line with itself.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { // ends with the connection
			defer func() { _ = c.Close() }()
			_, _ = io.Copy(c, c)
		}()
	}
}

// say sends a line and returns the answer, for which it waits at most a time.
func say(c net.Conn, wait time.Duration) (string, error) {
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(wait))
	return bufio.NewReader(c).ReadString('\n')
}

func TestSockets(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := faults.New()
	l := r.Listener(inner)
	ended := make(chan struct{})
	go func() { // ends with l
		echo(l)
		close(ended)
	}()
	dial := func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := say(c, time.Minute); got != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}

	r.Freeze()
	if got, err := say(c, 100*time.Millisecond); err == nil {
		t.Errorf("a frozen one answers %q", got)
	}
	fresh, err := dial()
	if err != nil {
		t.Fatalf("a frozen one refuses: %v", err)
	}
	if got, err := say(fresh, 100*time.Millisecond); err == nil {
		t.Errorf("a frozen one answers %q", got)
	}
	r.Thaw()
	if got, err := say(fresh, time.Minute); !strings.HasPrefix(got, "hello") {
		t.Errorf("got %q, %v after it", got, err)
	}

	r.Kill()
	if _, err := say(c, time.Minute); err == nil {
		_, err = say(c, time.Minute)
		t.Logf("got %v", err)
	}
	if _, err := fresh.Read(make([]byte, 100)); !errors.Is(err, syscall.ECONNRESET) {
		if _, err = fresh.Read(make([]byte, 100)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection of one that was killed ends with %v, want a reset", err)
		}
	}
	if _, err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want that it refuses", err)
	}
	r.Revive()
	if _, err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v before Open, want that it refuses", err)
	}
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := say(again, time.Minute); got != "hello\n" {
		t.Errorf("got %q, %v from the next", got, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
