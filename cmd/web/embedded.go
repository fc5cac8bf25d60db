package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"lockstep/backends"
	"lockstep/natsembedded"
	"lockstep/pubsub/driver"
	"lockstep/serve/settings"
	"lockstep/state"
	"lockstep/state/natsstate"
)

// embeddedScheme is that of the URL of a server of NATS in this process.
const embeddedScheme = "nats-embedded"

// embeddedFlags say who the peers of the server of NATS in this process are.
type embeddedFlags struct {
	Listen   string
	Peers    string // with commas between
	Replaces string // with commas between
}

func (e *embeddedFlags) define(fs *settings.Set) {
	fs.Group("NATS within the replicas (-pubsub nats-embedded:)")
	fs.Text(&e.Listen, "cluster-listen", "", "`address`, host:port, at which the other replicas reach the server of NATS in this one, so no wildcard. Default: it is alone")
	fs.Text(&e.Peers, "cluster-peers", "", "`addresses` of the other replicas' servers, with commas between; the own one may be among them. Three replicas survive the loss of any one. They know each other by -secret, over TLS")
	fs.Text(&e.Replaces, "cluster-replaces", "", "`addresses` of replicas that never come back and whose place this one takes, with commas between")
}

// dir returns the folder of the server that the backends lead to, and whether they lead to one.
func (e *embeddedFlags) dir(b *backendFlags) (dir string, is bool, err error) {
	for _, url := range append(strings.Fields(b.PubSub), b.Store) {
		path, ok := strings.CutPrefix(url, embeddedScheme+":")
		if path = strings.TrimPrefix(path, "//"); !ok {
			continue
		}
		if is && path != dir {
			return "", true, settings.Wrong("-store: there is one server of NATS in a process, and its folder is %q", dir)
		}
		dir, is = path, true
	}
	return dir, is, nil
}

// options are those of the server; its keys are the replicas'.
func (e *embeddedFlags) options(dir string, keys [][]byte, log *slog.Logger) *natsembedded.Options {
	return &natsembedded.Options{Dir: dir, Listen: e.Listen, Peers: words(e.Peers), Replaces: words(e.Replaces), Secret: keys, Logger: log}
}

// words returns what stands between commas.
func words(list string) (all []string) {
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

func (e *embeddedFlags) check(b *backendFlags, k *keyFlags) error {
	dir, is, err := e.dir(b)
	switch {
	case err != nil:
		return err
	case !is && e.Listen+e.Peers+e.Replaces != "":
		return settings.Wrong("-cluster-listen, -cluster-peers and -cluster-replaces: only with -pubsub or -store %s:", embeddedScheme)
	case !is:
		return nil
	}
	if err := e.options(dir, e.secret(b, k), nil).Check(); err != nil {
		return settings.Wrong("-cluster-listen, -cluster-peers, -cluster-replaces: %s", err)
	}
	return nil
}

// secret is the keys by which peers know each other: with -insecure-dev those that everybody knows.
func (e *embeddedFlags) secret(b *backendFlags, k *keyFlags) [][]byte {
	if len(k.keys) == 0 && k.Insecure {
		return [][]byte{k.insecure(b)}
	}
	return k.keys
}

// open starts the server in this process, if the backends lead to one, and waits until it can be
// used: as long as a majority of its peers is missing.
func (e *embeddedFlags) open(ctx context.Context, b *backendFlags, k *keyFlags, log *slog.Logger) (*natsembedded.Server, error) {
	dir, is, err := e.dir(b)
	if !is || err != nil {
		return nil, err
	}
	s, err := natsembedded.Start(e.options(dir, e.secret(b, k), log))
	if err != nil {
		return nil, err
	}
	if s.Await(ctx) != nil {
		s.Stop()
		return nil, errors.New("interrupted while a majority of the peers was missing")
	}
	return s, nil
}

// withEmbedded adds the server in this process to what backends may be.
func withEmbedded(o *backends.Options, s *natsembedded.Server) {
	if s == nil {
		return
	}
	o.Brokers[embeddedScheme] = func(string, backends.Options) (driver.Driver, error) { return s.Driver() }
	o.Stores = map[string]func(context.Context, string, time.Duration, backends.Options) (state.Store, error){
		embeddedScheme: func(ctx context.Context, _ string, lifetime time.Duration, o backends.Options) (state.Store, error) {
			return s.Open(ctx, &natsstate.Options{Prefix: o.Prefix, Lifetime: lifetime, Preconditions: o.StoreUnmet})
		},
	}
}
