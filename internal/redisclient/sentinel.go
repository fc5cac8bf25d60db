package redisclient

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/pause"
)

// A dialer is redis.Options.Dialer.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// sentinels say where a master is. They are asked for each connection: nothing
// is remembered, and nothing is followed in silence.
type sentinels struct {
	addrs []string
	name  string        // of the master
	like  redis.Options // how they are talked to
	dial  dialer        // to anybody
}

// dialMaster is the dialer of a client of the master.
func (s *sentinels) dialMaster(ctx context.Context, network, _ string) (net.Conn, error) {
	addr, err := s.ask(ctx)
	if err != nil {
		return nil, err
	}
	return s.dial(ctx, network, addr)
}

// An opinion is where a sentinel says that the master is.
type opinion struct {
	addr  string
	epoch uint64 // of its configuration: the newest is right
	err   error
}

// ask asks all at once, until more than half of them have said where the master
// is, and believes the newest of these: one that was cut off from the others
// knows an old master. Where fewer answer it takes what there is; the server
// itself has to say that it is a master.
func (s *sentinels) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	opinions := make(chan opinion, len(s.addrs))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel() // which ends what is still asked
	for _, addr := range s.addrs {
		asking.Go(func() { opinions <- s.askOne(ctx, addr) })
	}
	var best opinion
	said := 0
	for range s.addrs {
		o := <-opinions
		if o.err != nil {
			best.err = also(best.err, o.err)
			continue
		}
		if said++; said == 1 || o.epoch > best.epoch {
			best.addr, best.epoch = o.addr, o.epoch
		}
		if said > len(s.addrs)/2 {
			break
		}
	}
	if said == 0 {
		return "", fmt.Errorf("no sentinel says where the master is: %w", best.err)
	}
	return best.addr, nil
}

// also is two errors in one line; the first may be nil.
func also(err, next error) error {
	if err == nil {
		return next
	}
	return fmt.Errorf("%w; %w", err, next)
}

// askOne asks one sentinel, on a connection of its own that ends with ctx.
func (s *sentinels) askOne(ctx context.Context, addr string) opinion {
	o := s.like
	o.Addr = addr
	o.Dialer = func(dialling context.Context, network, addr string) (net.Conn, error) {
		c, err := s.dial(dialling, network, addr)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = c.Close() }) // go-redis would wait for its timeout
		}
		return c, err
	}
	c := redis.NewSentinelClient(&o)
	defer func() { _ = c.Close() }() // nobody can act on its error
	says, err := c.Master(ctx, s.name).Result()
	if err != nil {
		return opinion{err: fmt.Errorf("the sentinel %s: %w", addr, err)}
	}
	epoch, err := strconv.ParseUint(says["config-epoch"], 10, 64)
	if err != nil || says["ip"] == "" || says["port"] == "" {
		return opinion{err: fmt.Errorf("the sentinel %s has an answer that can't be read", addr)}
	}
	return opinion{addr: net.JoinHostPort(says["ip"], says["port"]), epoch: epoch}
}

// sentinels returns those of a URL.
func (a *address) sentinels() *sentinels {
	o := a.options
	like := redis.Options{
		MaxRetries: -1, DialerRetries: 1, PoolSize: 1, PipelinePoolSize: -1, ContextTimeoutEnabled: true, DisableIdentity: true,
		DialTimeout: orTimeout(o.DialTimeout, dialTimeout), ReadTimeout: dialTimeout, WriteTimeout: dialTimeout,
		MaintNotificationsConfig: noNotifications(),
	}
	if a.sentinel != nil {
		like.Username = a.sentinel.Username()
		like.Password, _ = a.sentinel.Password()
	}
	return &sentinels{a.hosts, a.name, like, plainDialer(o)}
}

// watched returns a client of the master that sentinels watch.
func watched(a *address, u use) redis.UniversalClient {
	o := a.options
	o.Dialer = a.sentinels().dialMaster
	if o.ConnMaxLifetime == 0 {
		o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = watchedLifetime, watchedLifetime/4
	}
	u.watched = true
	return single(o, u)
}

const (
	// watchedLifetime is lifetime where sentinels can be asked.
	watchedLifetime = 10 * time.Second
	// watchEvery is how often a pool asks them. A master that they have replaced
	// goes on taking writes, which are lost, until they tell it so: 8 s later, if
	// it was not dead.
	watchEvery = time.Second
)

// follow calls changed when sentinels say another master than before, until ctx
// ends. changed reports whether it has taken it in; or it is called again.
func (s *sentinels) follow(ctx context.Context, changed func() bool) {
	last, err := s.ask(ctx)
	if err != nil {
		last = ""
	}
	for pause.For(ctx, watchEvery) {
		addr, err := s.ask(ctx)
		if err == nil && (last == "" || addr == last || changed()) {
			last = addr
		}
	}
}
