package main

import (
	"crypto/tls"
	"net/netip"
	"slices"

	"lockstep/app/web"
)

// edgeFlags say how the public listeners treat clients: whom they believe, what clients may take,
// and how long they may hold it.
type edgeFlags struct {
	proxyFlags
	limitFlags
	timeoutFlags
}

func (e *edgeFlags) define(fs *flagSet) {
	e.proxyFlags.define(fs)
	e.limitFlags.define(fs)
	e.timeoutFlags.define(fs)
}

func (e *edgeFlags) check() error {
	if err := e.limitFlags.check(); err != nil {
		return err
	}
	return e.timeoutFlags.check()
}

// forWeb adds the time limits to what limitFlags returns.
func (e *edgeFlags) forWeb(conns, replicas int) web.Limits {
	l := e.limitFlags.forWeb(conns, replicas)
	l.WriteTimeout, l.PingInterval, l.PongTimeout = e.WriteTimeout, orNone(e.PingInterval), e.PongTimeout
	return l
}

// limiter adds a public listener to what the process may have: each of its connections costs a
// number of descriptors, trusted proxies may have any number, and tabs returns how many websockets
// there are.
func (e *edgeFlags) limiter(all *connLimiter, cost int, trusted []netip.Prefix, tabs func() int) *listenerLimiter {
	return all.listener(cost, e.ConnsPerAddr, slices.Concat(trusted, e.Exempt.prefixes), tabs)
}

// server returns the options of a public listener; secure nil is without TLS.
func (e *edgeFlags) server(l *listenerLimiter, secure *tls.Config) serverOptions {
	return serverOptions{
		header: e.HeaderTimeout, body: e.BodyTimeout, write: e.WriteTimeout, idle: e.IdleTimeout,
		tls: secure, limiter: l,
	}
}

// adminServer returns the options of the private listener: a profile takes as long as one asks for.
func (e *edgeFlags) adminServer() serverOptions {
	return serverOptions{header: e.HeaderTimeout, body: e.BodyTimeout, idle: e.IdleTimeout}
}
