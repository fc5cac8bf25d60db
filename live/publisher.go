package live

import (
	"context"
	"sync"
	"time"
)

// publishTimeout bounds one broadcast; the hub has a deadline of its own.
const publishTimeout = 5 * time.Second

// publishers is how many broadcasts of different topics may be under way.
const publishers = 16

// maxUnsent bounds how many topics have a broadcast waiting: 300 bytes each,
// and their states.
const maxUnsent = 1 << 14

// maxChain is how many states of a key wait to be merged.
const maxChain = 64

// A publisher broadcasts the newest state of each key after it was committed,
// off the path of the commit. What is superseded while it waits, or while a
// broadcast of its key is under way, is never sent: nothing queues behind a slow
// broker but one state for each key, and these take turns between those who have
// changed them. A broadcast that fails, or that there is no room for, is not
// repeated; digests and anti-entropy repair it.
type publisher[S any] struct {
	// set once
	rt      *Runtime
	publish func(ctx context.Context, key string, states []S) error
	merges  bool // what waits is kept, up to maxChain

	mu      sync.Mutex // guards the rest
	turns   *turns
	next    map[string][]known[S] // not yet sent; without merges the newest
	working int                   // goroutines in run
}

func newPublisher[S any](rt *Runtime, merges bool, publish func(ctx context.Context, key string, states []S) error) *publisher[S] {
	return &publisher[S]{rt: rt, publish: publish, merges: merges, turns: newTurns(maxUnsent), next: make(map[string][]known[S])}
}

// offer has a state sent, on behalf of those who have changed it.
func (p *publisher[S]) offer(key string, k known[S], shares []any) {
	shares = p.rt.comparable(shares)
	if !p.wait(key, k, shares) {
		p.rt.log.Debug("broadcast lost: too many wait; other replicas will read the store", "key", key)
	}
}

func (p *publisher[S]) wait(key string, k known[S], shares []any) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.turns.wait(key, shares) {
		return false
	}
	switch waiting := p.next[key]; {
	case len(waiting) > 0 && !k.newer(waiting[len(waiting)-1]):
	case p.merges && len(waiting) < maxChain:
		p.next[key] = append(waiting, k)
	default: // nobody needs what came before it: a change that leads from there has the store read
		p.next[key] = []known[S]{k}
	}
	if p.working < publishers && p.turns.isReady() && p.rt.spawn(p.run) {
		p.working++
	}
	return true
}

// run sends what there is until nothing waits that nobody else is sending.
func (p *publisher[S]) run() {
	for {
		key, states, ok := p.take()
		if !ok {
			return
		}
		p.send(key, states)
		p.finish(key)
	}
}

// take returns what is to be sent next; nothing means that run has ended.
func (p *publisher[S]) take() (key string, states []S, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key, ok = p.turns.next(); !ok {
		p.working--
		return "", nil, false
	}
	for _, k := range p.next[key] {
		states = append(states, k.state)
	}
	delete(p.next, key)
	return key, states, true
}

func (p *publisher[S]) send(key string, states []S) {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := p.publish(ctx, key, states); err != nil {
		p.rt.log.Debug("broadcast lost; other replicas will read the store", "key", key, "err", err)
	}
}

func (p *publisher[S]) finish(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns.finish(key)
}
