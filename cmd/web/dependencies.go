package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"lockstep/internal/redisclient"
	"lockstep/internal/traces"
	"lockstep/natsembedded"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/serve"
	"lockstep/state"
	"lockstep/static"
)

// dependencies are what the replicas of one process share.
type dependencies struct {
	driver   driver.Driver
	store    state.Store          // nil: not open
	embedded *natsembedded.Server // which they lead to; nil: they lead elsewhere
	assets   *static.Assets
	prefix   string        // of all names at broker and store
	life     time.Duration // how old an op may be
	keys     [][]byte
	uploads  http.Handler         // of the files of forms; nil: none are taken
	conns    int                  // that the process may have; 0: no limit
	unmet    []*precondition.Part // what servers of broker and store, and other replicas, should be and are not
	peers    *precondition.Part   // of unmet, what replicas should be to each other
	front    *precondition.Part   // of unmet, what proxies in front should be
	watch    *serve.ProxyWatch    // of the public address
	traces   *traces.Traces
}

// openBackends opens the broker, the store, and the keys that befit them.
func (d *dependencies) openBackends(ctx context.Context, b *backendFlags, k *keyFlags, log *slog.Logger) (err error) {
	d.prefix, d.life = b.Prefix, b.OpLifetime
	broker, store := precondition.NewPart("broker", log), precondition.NewPart("store", log)
	d.peers = precondition.NewPart("replicas", log)
	d.unmet = append(d.unmet, broker, store, d.peers)
	redisclient.Silence()
	if d.store, err = b.openStore(ctx, d.embedded, store); err != nil {
		return b.storeFailed(err)
	}
	if d.uploads, err = b.openUploads(log); err != nil {
		return errors.Join(err, d.close())
	}
	if d.keys, err = k.open(b); err != nil {
		return errors.Join(err, d.close())
	}
	d.peers.Saw("", "", k.unmet(b)...)
	if d.driver, err = b.openDriver(k, d.keys, d.embedded, broker); err != nil {
		return errors.Join(err, d.close())
	}
	return nil
}

// openEmbedded starts the server of NATS in this process, if the backends lead to one.
func (d *dependencies) openEmbedded(ctx context.Context, c *config, log *slog.Logger) (err error) {
	d.embedded, err = c.embeddedFlags.open(ctx, &c.backendFlags, &c.keyFlags, log)
	return err
}

// close closes the store, and what it is on. Closing twice, or what was not opened, is harmless.
func (d *dependencies) close() (err error) {
	if d.store != nil {
		err = d.store.Close()
	}
	if d.embedded != nil {
		d.embedded.Stop()
	}
	return err
}
