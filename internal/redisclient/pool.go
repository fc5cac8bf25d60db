package redisclient

import (
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
type Pool struct {
	make func() (redis.UniversalClient, error) // set once

	mu      sync.Mutex // guards the rest
	client  redis.UniversalClient
	renewed time.Time
	closed  bool
}

// NewPool returns a pool for a URL as New reads it. It does not connect. seen
// is told what each server does not meet; nil: nobody.
func NewPool(raw string, seen *precondition.Part) (*Pool, error) {
	return newPool(func() (redis.UniversalClient, error) { return newClient(raw, use{store: true, seen: seen}) })
}

// newPool returns a pool of what make returns.
func newPool(make func() (redis.UniversalClient, error)) (*Pool, error) {
	c, err := make()
	return &Pool{make: make, client: c}, err
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
	if Elsewhere(err) && p.renew(c) {
		_ = c.Close() // nobody can act on its error
	}
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
	p.mu.Lock()
	p.closed = true
	c := p.client
	p.mu.Unlock()
	return c.Close()
}
