// Package redispubsub is a driver over Redis publish/subscribe (or Valkey), with
// one subscription for each topic, so that only replicas that show a topic get
// its messages.
//
// In a Redis Cluster it publishes by shard (SPUBLISH): each topic is in one of 64
// partitions, and each partition in one slot, so that a message concerns one
// node and its replicas. A classic PUBLISH goes to all nodes. See Mode.
//
// Redis delivers at most once and cuts a subscriber that reads too slowly; both
// show as a lost connection, after which the hub reloads. So does each change of
// a cluster: a slot that has moved, a master that was replaced.
package redispubsub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
)

// A Mode is how topics are carried in a Redis Cluster. All replicas must have the
// same, or do not hear each other: Both is for a change.
type Mode string

const (
	// Sharded has a message concern one node and its replicas. It has two
	// connections to each master.
	Sharded Mode = "sharded"
	// Classic has each message go to all nodes. It has two connections in all.
	Classic Mode = "classic"
	// Both publishes and subscribes in both ways: for a deploy from one to the
	// other. What a replica with Both says to another arrives twice.
	Both Mode = "both"
)

// A Driver opens connections to one Redis. It is safe for concurrent use.
type Driver struct {
	// Preconditions is told what each server does not meet; nil: nobody. It
	// must be set before the first Open.
	Preconditions *precondition.Part
	// Mode is how a cluster carries topics; "": Sharded. Without a cluster it
	// means nothing. It must be set before the first Open.
	Mode Mode

	// make returns a client that says where to connect.
	make func(seen *precondition.Part) (redis.UniversalClient, error)
}

// NewDriver returns a driver for a URL, as package redisclient reads it. It does
// not connect. The error is about the URL and does not contain it.
//
//	redis://user:password@host:6379           one server; rediss:// with TLS
//	redis+cluster://host1:6379,host2:6379     a cluster; rediss+cluster:// with TLS
//	redis+sentinel://host1,host2/mymaster     the master that Sentinel says; rediss+sentinel:// with TLS
//
// That of a cluster may say the Mode: ?pubsub=sharded, classic or both.
func NewDriver(url string) (*Driver, error) {
	mode, err := redisclient.PubSub(url)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	return &Driver{Mode: Mode(mode), make: func(seen *precondition.Part) (redis.UniversalClient, error) { return redisclient.NewBroker(url, seen) }}, nil
}

// NewDriverLike returns a driver that connects where a client does, a *redis.Client or a
// *redis.ClusterClient: with its address, dialler, TLS, user and OnConnect. It has connections of
// its own, two for each hub (with a cluster: see Mode), and never uses or closes those of the
// client: the caller may close it at any time, unless its dialler needs it, as that of
// NewFailoverClient does. The error is about a client of another kind, or none.
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

// Open implements driver.Driver: it connects twice, once to subscribe, and in a
// cluster to each master.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	client, err := d.make(d.Preconditions)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	defer func() { _ = client.Close() }() // it only says where to connect
	// It asks a cluster, and does not notice that ctx ends meanwhile.
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	undone := context.AfterFunc(ctx, end)
	c := &conn{Inbox: driver.NewInbox(end)}
	err = d.connect(ctx, life, c, client)
	if !undone() { // ctx has ended: so has life
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("redispubsub: %w", err)
		c.End(err)
		c.closeLinks()
		return nil, err
	}
	for _, l := range c.links {
		l.start(life, &c.running)
	}
	return c, nil
}

// connect makes the links of a conn. Where it fails some may be there.
func (d *Driver) connect(ctx, life context.Context, c *conn, client redis.UniversalClient) error {
	switch client := client.(type) {
	case *redis.Client:
		c.classic = newLink(life, c.Inbox, client.Options(), client.Options())
		c.classic.alone = true
		c.links = append(c.links, c.classic)
		return verifyAll(ctx, c.links)
	case *redis.ClusterClient:
		return d.connectCluster(ctx, life, c, client)
	}
	return fmt.Errorf("no use for a %T", client)
}

func (d *Driver) connectCluster(ctx, life context.Context, c *conn, client *redis.ClusterClient) error {
	if d.Mode == Classic || d.Mode == Both {
		pub, sub, err := anyNodes(ctx, client)
		if err != nil {
			return err
		}
		c.classic = newLink(life, c.Inbox, pub, sub)
		c.links = append(c.links, c.classic)
	}
	if d.Mode == Classic {
		return verifyAll(ctx, c.links)
	}
	masters, err := c.connectMasters(ctx, life, client)
	if err != nil {
		return err
	}
	if err := verifyAll(ctx, c.links); err != nil {
		return err
	}
	return c.lay(ctx, masters)
}

// anyNodes returns where to publish and where to subscribe in the classic way.
//
// All replicas publish at the same node: what comes from several nodes
// overtakes on its way. Any node will do to subscribe; each time another one
// spreads the load, and leaves a node that is cut off from the rest.
func anyNodes(ctx context.Context, client *redis.ClusterClient) (pub, sub *redis.Options, err error) {
	publisher, err := client.MasterForKey(ctx, "lockstep")
	if err != nil {
		return nil, nil, err
	}
	subscriber, err := client.MasterForKey(ctx, strconv.Itoa(rand.Int()))
	if err != nil {
		return nil, nil, err
	}
	return publisher.Options(), subscriber.Options(), nil
}

// connectMasters makes a link to each master that has a partition, and returns
// which it has.
func (c *conn) connectMasters(ctx, life context.Context, client *redis.ClusterClient) (masters map[*link][]int, err error) {
	c.parts = newPartitions()
	c.sharded = make([]*link, len(c.parts))
	masters, links := make(map[*link][]int), make(map[string]*link)
	for i, p := range c.parts {
		master, err := client.MasterForKey(ctx, p.tag)
		if err != nil {
			return nil, err
		}
		o := master.Options()
		l := links[o.Addr]
		if l == nil {
			l = newLink(life, c.Inbox, o, o)
			links[o.Addr], c.links = l, append(c.links, l)
		}
		c.sharded[i], masters[l] = l, append(masters[l], i)
	}
	return masters, nil
}

// lay sees to it that all masters agree on what each has.
func (c *conn) lay(ctx context.Context, masters map[*link][]int) error {
	var agreed *layout
	for l, these := range masters {
		pipe := l.client.Pipeline()
		id, shown := pipe.ClusterMyID(ctx), pipe.ClusterSlots(ctx)
		_, _ = pipe.Exec(ctx) // each has its own error
		if err := id.Err(); err != nil {
			return l.named(err)
		}
		says, err := readLayout(c.parts, shown)
		if err != nil {
			return l.named(err)
		}
		if agreed == nil {
			agreed = says
		}
		if err := says.owns(id.Val(), these); err != nil {
			return l.named(err)
		}
		if agreed.agrees(shown) != nil {
			return l.named(errNotOwner)
		}
		l.layout = agreed
	}
	return nil
}

// verifyAll has all links connect, side by side.
func verifyAll(ctx context.Context, links []*link) error {
	errs := make([]error, len(links))
	var all sync.WaitGroup
	for i, l := range links {
		all.Go(func() { errs[i] = l.named(l.verify(ctx)) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// named returns an error that names the server, or nil for nil.
func (l *link) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", l.subscriber.Options().Addr, err)
}
