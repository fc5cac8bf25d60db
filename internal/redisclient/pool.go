package redisclient

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/precondition"
)

// renewal is the least time between two renewals of a pool: a server that
// goes on refusing is not asked with new connections all the time.
const renewal = 100 * time.Millisecond

// A Pool is the client of a store. When a call was answered by a server that
// is not the right one (any more) all its connections are made anew: each of
// them would fail once, or for ever. Its methods may be called concurrently.
//
// Where Sentinel watches the server the pool asks it each second who is the
// master, in a goroutine that ends with Close.
type Pool struct {
	// set once
	make    func() (redis.UniversalClient, error)
	watched bool // by Sentinel
	end     context.CancelFunc
	running sync.WaitGroup // follow

	mu      sync.Mutex // guards the rest
	client  redis.UniversalClient
	renewed time.Time
	closed  bool
}

// NewPool returns a pool for a URL as New reads it. It does not connect. seen
// is told what each server does not meet; nil: nobody.
func NewPool(raw string, seen *precondition.Part) (*Pool, error) {
	a, err := parse(raw)
	if err != nil {
		return nil, err
	}
	p, err := newPool(func() (redis.UniversalClient, error) { return newClient(raw, use{store: true, seen: seen}) })
	if err != nil {
		return nil, err
	}
	if a.kind == "+sentinel" {
		p.follow(a.sentinels())
	}
	return p, nil
}

// follow has the pool leave a master that sentinels have replaced.
func (p *Pool) follow(s *sentinels) {
	ctx, end := context.WithCancel(context.Background())
	p.watched, p.end = true, end
	p.running.Go(func() { s.follow(ctx, func() bool { return p.replace(p.Client()) }) })
}

// newPool returns a pool of what make returns.
func newPool(make func() (redis.UniversalClient, error)) (*Pool, error) {
	c, err := make()
	return &Pool{make: make, end: func() {}, client: c}, err
}

// Client is the client to use for the next call. It is closed by the pool.
func (p *Pool) Client() redis.UniversalClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client
}

// Failed takes in the error of a call of a client. If it tells of the wrong
// server the next call gets a new client; calls that are under way on this one
// end with an error.
func (p *Pool) Failed(c redis.UniversalClient, err error) {
	// A master that was replaced has no replicas any more.
	if Elsewhere(err) || p.watched && redis.HasErrorPrefix(err, "NOREPLICAS") {
		p.replace(c)
	}
}

// replace renews the client and closes the one before. It reports whether that
// was possible.
func (p *Pool) replace(c redis.UniversalClient) bool {
	if !p.renew(c) {
		return false
	}
	_ = c.Close() // nobody can act on its error
	return true
}

// renew replaces a client, unless that has been done, or just now.
func (p *Pool) renew(c redis.UniversalClient) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c != p.client || time.Since(p.renewed) < renewal {
		return false
	}
	next, err := p.make()
	if err != nil {
		return false // a file of the URL can't be read: the old client is better than none
	}
	p.client, p.renewed = next, time.Now()
	return true
}

// Close closes the client; calls after that fail.
func (p *Pool) Close() error {
	p.end()
	p.running.Wait()
	p.mu.Lock()
	p.closed = true
	c := p.client
	p.mu.Unlock()
	return c.Close()
}
