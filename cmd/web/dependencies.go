package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"lockstep/internal/redisclient"
	"lockstep/internal/traces"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/serve"
	"lockstep/state"
	"lockstep/static"
)

// dependencies are what the replicas of one process share.
type dependencies struct {
	driver  driver.Driver
	store   state.Store // nil: not open
	assets  *static.Assets
	prefix  string        // of all names at broker and store
	life    time.Duration // how old an op may be
	keys    [][]byte
	uploads http.Handler         // of the files of forms; nil: none are taken
	conns   int                  // that the process may have; 0: no limit
	unmet   []*precondition.Part // what servers of broker and store, and other replicas, should be and are not
	peers   *precondition.Part   // of unmet, what replicas should be to each other
	front   *precondition.Part   // of unmet, what proxies in front should be
	watch   *serve.ProxyWatch    // of the public address
	traces  *traces.Traces
}

// openBackends opens the broker, the store, and the keys that befit them.
func (d *dependencies) openBackends(ctx context.Context, b *backendFlags, k *keyFlags, log *slog.Logger) (err error) {
	d.prefix, d.life = b.Prefix, b.OpLifetime
	broker, store := precondition.NewPart("broker", log), precondition.NewPart("store", log)
	d.peers = precondition.NewPart("replicas", log)
	d.unmet = append(d.unmet, broker, store, d.peers)
	redisclient.Silence()
	if d.store, err = b.openStore(ctx, store); err != nil {
		return b.storeFailed(err)
	}
	if d.uploads, err = b.openUploads(log); err != nil {
		return errors.Join(err, d.close())
	}
	if d.keys, err = k.open(b); err != nil {
		return errors.Join(err, d.close())
	}
	d.peers.Saw("", "", k.unmet(b)...)
	if d.driver, err = b.openDriver(k, d.keys, broker); err != nil {
		return errors.Join(err, d.close())
	}
	return nil
}

// close closes the store. Closing what was not opened is harmless.
func (d *dependencies) close() error {
	if d.store == nil {
		return nil
	}
	return d.store.Close()
}
