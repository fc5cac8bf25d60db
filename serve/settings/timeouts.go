package settings

import (
	"time"

	"lockstep/serve"
)

// Timeouts bound how long clients may hold what they have.
type Timeouts struct {
	HeaderTimeout time.Duration
	BodyTimeout   time.Duration
	WriteTimeout  time.Duration
	IdleTimeout   time.Duration
	PingInterval  time.Duration // 0: never
	PongTimeout   time.Duration
}

func (t *Timeouts) define(fs *Set) {
	d, l := serve.DefaultLimits(), serve.DefaultListenOptions()
	fs.Group("Time limits")
	fs.Span(&t.HeaderTimeout, "header-timeout", l.HeaderTimeout, "`time` for the head of a request, and for the handshake of TLS")
	fs.Span(&t.BodyTimeout, "body-timeout", l.BodyTimeout, "`time` for a whole request")
	fs.Span(&t.WriteTimeout, "write-timeout", d.WriteTimeout, "longest `time` for which a client may take nothing of an answer")
	fs.Span(&t.IdleTimeout, "idle-timeout", l.IdleTimeout, "`time` that a connection may be kept without a request")
	fs.Span(&t.PingInterval, "ping-interval", d.PingInterval, "`time` after which a silent tab is asked whether it is there; 0: never")
	fs.Span(&t.PongTimeout, "pong-timeout", d.PongTimeout, "`time` that it may take to answer")
}

// check refuses a server that anybody could hold up for ever.
func (t *Timeouts) check() error {
	for _, limit := range []struct {
		name string
		d    time.Duration
	}{
		{"header-timeout", t.HeaderTimeout}, {"body-timeout", t.BodyTimeout}, {"write-timeout", t.WriteTimeout},
		{"idle-timeout", t.IdleTimeout}, {"pong-timeout", t.PongTimeout},
	} {
		if limit.d <= 0 {
			return Wrong("-%s: %s is not a time limit", limit.name, limit.d)
		}
	}
	if t.PingInterval < 0 {
		return Wrong("-ping-interval: %s is negative", t.PingInterval)
	}
	return nil
}
