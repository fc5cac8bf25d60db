// Package redispubsub is a driver over Redis publish/subscribe (or Valkey),
// with one SUBSCRIBE for each topic, so that only replicas that show a topic
// get its messages. Redis Cluster works too: a classic PUBLISH reaches every node.
//
// Redis delivers at most once and cuts a subscriber that reads too slowly;
// both show as a lost connection, after which the hub reloads.
package redispubsub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
)

// A Driver opens connections to one Redis. It is safe for concurrent use.
type Driver struct {
	// Preconditions is told what each server does not meet; nil: nobody. It
	// must be set before the first Open.
	Preconditions *precondition.Part

	// make returns a client that says where to connect.
	make func(seen *precondition.Part) (redis.UniversalClient, error)
}

// NewDriver returns a driver for a redis://, rediss://, redis+cluster:// or
// rediss+cluster:// URL (host1,host2 for a cluster), as package redisclient
// reads it. It does not connect. The error is about the URL and does not
// contain it.
func NewDriver(url string) (*Driver, error) {
	c, err := redisclient.New(url)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	return &Driver{make: func(seen *precondition.Part) (redis.UniversalClient, error) { return redisclient.NewBroker(url, seen) }}, c.Close()
}

// NewDriverLike returns a driver that connects where a client does, a *redis.Client or a
// *redis.ClusterClient: with its address, dialler, TLS, user and OnConnect. It has connections of
// its own, two for each hub, and never uses or closes those of the client: the caller may close it
// at any time, unless its dialler needs it, as that of NewFailoverClient does. The error is about a
// client of another kind, or none.
func NewDriverLike(client redis.UniversalClient) (*Driver, error) {
	c, err := redisclient.BrokerLike(client, nil)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	return &Driver{make: func(seen *precondition.Part) (redis.UniversalClient, error) {
		return redisclient.BrokerLike(client, seen)
	}}, c.Close()
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "redis" }

// Open implements driver.Driver: it connects twice, once to subscribe.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	client, err := d.make(d.Preconditions)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	defer func() { _ = client.Close() }() // it only says where to connect
	pub, sub, err := nodes(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	undone := context.AfterFunc(ctx, end)
	c := newConn(life, end, pub, sub)
	_, c.alone = client.(*redis.Client)
	err = c.verify(ctx)
	if !undone() { // ctx has ended: so has life
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("redispubsub: %s: %w", sub.Addr, err)
		c.End(err)
		c.closeClients()
		return nil, err
	}
	c.start(life)
	return c, nil
}

// nodes returns where to publish and where to subscribe.
//
// In a cluster all replicas publish at the same node: what comes from several
// nodes overtakes on its way. Any node will do to subscribe; each time another
// one spreads the load, and leaves a node that is cut off from the rest.
func nodes(ctx context.Context, client redis.UniversalClient) (pub, sub *redis.Options, err error) {
	var publisher, subscriber *redis.Client
	switch client := client.(type) {
	case *redis.Client:
		publisher, subscriber = client, client
	case *redis.ClusterClient:
		if publisher, err = client.MasterForKey(ctx, "lockstep"); err != nil {
			return nil, nil, err
		}
		if subscriber, err = client.MasterForKey(ctx, strconv.Itoa(rand.Int())); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("no use for a %T", client)
	}
	return publisher.Options(), subscriber.Options(), nil
}
