package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/pubsub/driver"
)

// batch is how many messages one round trip publishes at most.
const batch = 256

// roleEvery is how long the role of a server is believed. A master that is
// made a replica keeps its connections, and delivers what is published on them:
// to those only that are connected to it.
const roleEvery = time.Second

// silence is how many pings in a row may be without an answer.
const silence = 3

var (
	errDeaf   = errors.New("a connection to subscribe has gone silent")
	errMoved  = errors.New("a slot of the cluster has moved to another node")
	errAnswer = errors.New("an answer to no command")
)

// A link is two connections: one to publish, used by the goroutine publishAll,
// and one to subscribe, read by the goroutine read. When either is lost the conn
// that it belongs to has ended.
type link struct {
	// set once
	*driver.Inbox                    // the conn's
	client, subscriber *redis.Client // of one connection each, see wire
	sub                *redis.PubSub // of subscriber
	outgoing           chan publication
	alone              bool      // the server must be a master
	layout             *layout   // what a node of a cluster must agree with; nil: channels are not those of shards
	asked              time.Time // for the role; owned by publishAll

	unanswered atomic.Int32 // pings
	putting    atomic.Bool  // read waits for who receives

	mu      sync.Mutex // guards the rest; held while a command is written, so that waiting is in the order of the wire
	waiting []waiter
}

// A publication waits to be sent.
type publication struct {
	channel string
	payload []byte
	done    chan error // of size 1
}

// A waiter waits for the answer to a command that subscribes or unsubscribes.
// Redis answers in the order of the commands.
type waiter struct {
	kind, channel string
	done          chan error // of size 1
}

// newLink returns a link that has not connected yet. life is that of the conn.
func newLink(life context.Context, inbox *driver.Inbox, pub, sub *redis.Options) *link {
	l := &link{Inbox: inbox, client: wire(life, *pub), subscriber: wire(life, *sub), outgoing: make(chan publication)}
	l.sub = l.subscriber.Subscribe(life)
	return l
}

// verify connects, and wants an answer on both connections.
func (l *link) verify(ctx context.Context) error {
	if err := l.client.Ping(ctx).Err(); err != nil {
		return err
	}
	if err := l.sub.Ping(ctx); err != nil {
		return err
	}
	_, err := l.sub.ReceiveTimeout(ctx, l.subscriber.Options().ReadTimeout)
	return err
}

// start puts the link to work, until the conn's end.
func (l *link) start(life context.Context, running *sync.WaitGroup) {
	running.Go(func() { l.publishAll(life) })
	running.Go(func() { l.read(life) })
	if l.layout != nil {
		running.Go(func() { l.listen(life) })
	}
}

// publish has one message sent.
func (l *link) publish(ctx context.Context, p publication) error {
	select {
	case l.outgoing <- p:
	case <-l.Ended():
		return l.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publishAll sends what gathers while its last round trip is under way, in the
// order of the calls. It asks a node of a cluster for its role also when there
// is nothing to send: the hub's heartbeats go to one node only.
func (l *link) publishAll(life context.Context) {
	var idle <-chan time.Time
	if l.layout != nil {
		tick := time.NewTicker(roleEvery)
		defer tick.Stop()
		idle = tick.C
	}
	for {
		select {
		case first := <-l.outgoing:
			l.send(life, driver.Gather(first, l.outgoing, batch))
		case <-idle:
			l.asked = time.Time{}
			l.send(life, nil)
		case <-l.Ended():
			return
		}
	}
}

// send publishes in one round trip. Redis may refuse one message (NOPERM) and
// take the others; any other error is the end of the connection.
func (l *link) send(life context.Context, ps []publication) {
	pipe := l.client.Pipeline()
	results := make([]*redis.IntCmd, len(ps))
	for i, p := range ps {
		if l.layout != nil {
			results[i] = pipe.SPublish(life, p.channel, p.payload)
		} else {
			results[i] = pipe.Publish(life, p.channel, p.payload)
		}
	}
	check := l.ask(life, pipe)
	_, _ = pipe.Exec(life) // each result has its own error
	if err := check(); err != nil {
		l.lost(l.client, err)
	}
	for i, p := range ps {
		err := results[i].Err()
		if err != nil && !refused(err) {
			l.lost(l.client, err)
		}
		if ended := l.Usable(life); ended != nil {
			err = ended
		}
		p.done <- err
	}
}

// ask adds questions to the server, if it is time, and returns what says whether
// the answers will do. The hub's heartbeats see to it that something is
// published all the time.
func (l *link) ask(life context.Context, pipe redis.Pipeliner) (check func() error) {
	if !l.alone && l.layout == nil || time.Since(l.asked) < roleEvery {
		return func() error { return nil }
	}
	l.asked = time.Now()
	role := pipe.Do(life, "ROLE")
	if l.layout == nil {
		return func() error { return redisclient.ReadRole(role) }
	}
	shown := pipe.ClusterSlots(life)
	return func() error {
		if err := redisclient.ReadRole(role); err != nil {
			return err
		}
		return l.layout.agrees(shown)
	}
}

// refused reports whether an error is Redis's answer to a command, after which
// the connection is as good as before.
func refused(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) && !redisclient.Elsewhere(err)
}

// lost ends the conn because one of its connections has failed.
func (l *link) lost(of *redis.Client, err error) {
	l.End(fmt.Errorf("redispubsub: %s: %w", of.Options().Addr, err))
}

// subscribe subscribes to a channel, and waits for the answer.
func (l *link) subscribe(ctx context.Context, channel string) error {
	if l.layout != nil {
		return l.command(ctx, "ssubscribe", channel, l.sub.SSubscribe)
	}
	return l.command(ctx, "subscribe", channel, l.sub.Subscribe)
}

// unsubscribe is the opposite.
func (l *link) unsubscribe(ctx context.Context, channel string) error {
	if l.layout != nil {
		return l.command(ctx, "sunsubscribe", channel, l.sub.SUnsubscribe)
	}
	return l.command(ctx, "unsubscribe", channel, l.sub.Unsubscribe)
}

// command sends one command and waits for its answer.
func (l *link) command(ctx context.Context, kind, channel string, send func(context.Context, ...string) error) error {
	w := waiter{kind, channel, make(chan error, 1)}
	if err := l.write(ctx, w, send); err != nil {
		l.lost(l.subscriber, err)
		return l.Usable(ctx)
	}
	select {
	case err := <-w.done:
		return err
	case <-l.Ended():
		return l.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) write(ctx context.Context, w waiter, send func(context.Context, ...string) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Not the caller's cancellation: half a command on the wire would be the
	// end of the connection for everybody.
	if err := send(context.WithoutCancel(ctx), w.channel); err != nil {
		return err
	}
	l.waiting = append(l.waiting, w)
	return nil
}

// read takes in what Redis sends until the connection ends.
func (l *link) read(life context.Context) {
	for {
		m, err := l.sub.Receive(life)
		switch {
		case err != nil && refused(err):
			l.answered("", "", err) // e.g. NOPERM: of the oldest command
			continue
		case err != nil:
			l.lost(l.subscriber, err)
			return
		}
		switch m := m.(type) {
		case *redis.Subscription:
			l.answered(m.Kind, m.Channel, nil)
		case *redis.Pong:
			l.unanswered.Store(0)
		case *redis.Message:
			if !l.put(m) {
				return
			}
		}
	}
}

// put passes a message on.
func (l *link) put(m *redis.Message) bool {
	topic := m.Channel
	if l.layout != nil {
		topic = topicOf(topic)
	}
	l.putting.Store(true)
	defer l.putting.Store(false)
	return l.Put(driver.Message{Topic: topic, Payload: []byte(m.Payload)})
}

// answered gives the oldest command its answer. One that is not its own means
// that we no longer know what is subscribed: a node that gives a slot away takes
// back what was subscribed there.
func (l *link) answered(kind, channel string, err error) {
	l.mu.Lock()
	w := waiter{}
	if len(l.waiting) > 0 {
		w = l.waiting[0]
	}
	own := w.done != nil && (err != nil || w.kind == kind && w.channel == channel)
	if own {
		l.waiting = l.waiting[1:]
	}
	l.mu.Unlock()
	switch {
	case own:
		w.done <- err
	case kind == "sunsubscribe":
		l.lost(l.subscriber, errMoved)
	default:
		l.lost(l.subscriber, errAnswer)
	}
}

// listen sees to it that the connection to subscribe is alive, which the hub's
// heartbeats show of one node only. A receiver that is slow is not its fault.
func (l *link) listen(life context.Context) {
	tick := time.NewTicker(roleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.Ended():
			return
		}
		if l.putting.Load() {
			l.unanswered.Store(0)
		}
		if l.unanswered.Add(1) > silence {
			l.lost(l.subscriber, errDeaf)
			return
		}
		if err := l.sub.Ping(life); err != nil {
			l.lost(l.subscriber, err)
			return
		}
	}
}

// close closes what has ended: nobody can act on its errors.
func (l *link) close() {
	_ = l.sub.Close()
	_ = l.subscriber.Close()
	_ = l.client.Close()
}
