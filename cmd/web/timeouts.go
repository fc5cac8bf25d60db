package main

import (
	"time"

	"lockstep/app/web"
)

// timeoutFlags bound how long clients may hold what they have.
type timeoutFlags struct {
	HeaderTimeout time.Duration
	BodyTimeout   time.Duration
	WriteTimeout  time.Duration
	IdleTimeout   time.Duration
	PingInterval  time.Duration // 0: never
	PongTimeout   time.Duration
}

func (t *timeoutFlags) define(fs *flagSet) {
	d := web.DefaultLimits()
	fs.group("Time limits")
	fs.span(&t.HeaderTimeout, "header-timeout", 5*time.Second, "`time` for the head of a request, and for the handshake of TLS")
	fs.span(&t.BodyTimeout, "body-timeout", 15*time.Second, "`time` for a whole request")
	fs.span(&t.WriteTimeout, "write-timeout", d.WriteTimeout, "longest `time` for which a client may take nothing of an answer")
	fs.span(&t.IdleTimeout, "idle-timeout", time.Minute, "`time` that a connection may be kept without a request")
	fs.span(&t.PingInterval, "ping-interval", d.PingInterval, "`time` after which a silent tab is asked whether it is there; 0: never")
	fs.span(&t.PongTimeout, "pong-timeout", d.PongTimeout, "`time` that it may take to answer")
}

// check refuses a server that anybody could hold up for ever.
func (t *timeoutFlags) check() error {
	for _, limit := range []struct {
		name string
		d    time.Duration
	}{
		{"header-timeout", t.HeaderTimeout}, {"body-timeout", t.BodyTimeout}, {"write-timeout", t.WriteTimeout},
		{"idle-timeout", t.IdleTimeout}, {"pong-timeout", t.PongTimeout},
	} {
		if limit.d <= 0 {
			return usageError("-%s: %s is not a time limit", limit.name, limit.d)
		}
	}
	if t.PingInterval < 0 {
		return usageError("-ping-interval: %s is negative", t.PingInterval)
	}
	return nil
}
