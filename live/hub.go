package live

import (
	"context"

	"lockstep/pubsub"
)

// A guardedHub is a hub whose panics are errors: it may be the application's own.
type guardedHub struct {
	hub Hub
	rt  *Runtime
}

// Broadcast implements Hub.
func (g guardedHub) Broadcast(ctx context.Context, topic string, payload []byte) (err error) {
	defer g.rt.guard.Caught("Hub.Broadcast", &err)
	return g.hub.Broadcast(ctx, topic, payload)
}

// SubscribeTopic implements Hub.
func (g guardedHub) SubscribeTopic(ctx context.Context, session, topic string, h pubsub.Handler) (err error) {
	defer g.rt.guard.Caught("Hub.SubscribeTopic", &err)
	return g.hub.SubscribeTopic(ctx, session, topic, h)
}

// UnsubscribeAll implements Hub.
func (g guardedHub) UnsubscribeAll(ctx context.Context, session string) (err error) {
	defer g.rt.guard.Caught("Hub.UnsubscribeAll", &err)
	return g.hub.UnsubscribeAll(ctx, session)
}
