package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/internal/keys"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state/memstate"
	"lockstep/static"
)

// A tiredDriver opens a number of connections, and then no more.
type tiredDriver struct {
	driver.Driver
	left atomic.Int64
}

func (d *tiredDriver) Open(ctx context.Context) (driver.Conn, error) {
	if d.left.Add(-1) < 0 {
		return nil, errors.New("no more")
	}
	return d.Driver.Open(ctx)
}

// TestWhenAReplicaDoesNotStartNoListenerIsLeft: neither that of a replica before it, nor of one
// that was still to come.
func TestWhenAReplicaDoesNotStartNoListenerIsLeft(t *testing.T) {
	c, err := parseConfig([]string{"-replicas", "3", "-addr", "127.0.0.1:0", "-store", "mem:"}, env(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	public, err := serve.Listen(t.Context(), c.Addr, c.Replicas, false)
	if err != nil {
		t.Fatal(err)
	}
	process, err := serve.NewProcess(public, nil)
	if err != nil {
		t.Fatal(err)
	}
	broker := &tiredDriver{Driver: mempubsub.NewBus()}
	broker.left.Store(1)
	s := &service{log: slog.New(slog.DiscardHandler), process: process, deps: dependencies{
		driver: broker, store: memstate.New(nil), assets: assets, keys: [][]byte{keys.Fresh()},
	}}
	err = s.startReplicas(t.Context(), &public, &c)
	if err == nil || !strings.Contains(err.Error(), "-pubsub") {
		t.Fatalf("got %v, want an error of the broker", err)
	}
	if err := s.abort(); err != nil {
		t.Errorf("got %v while stopping", err)
	}
	for _, l := range append(public.Replicas, public.Front) {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still listened on", l.Addr())
		}
	}
}
