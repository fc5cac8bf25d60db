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

// A publisher broadcasts the newest state of each key after it was committed,
// off the path of the commit. What is superseded while a broadcast
// of its key is under way is never sent: nothing queues behind a slow broker.
// A broadcast that fails is not repeated; anti-entropy repairs it.
type publisher[S any] struct {
	// set once
	rt      *Runtime
	publish func(ctx context.Context, key string, s S) error
	slots   chan struct{} // bounds the broadcasts under way

	mu   sync.Mutex
	next map[string]known[S] // newest, not yet sent
	busy map[string]struct{} // keys with a goroutine in run
}

func (p *publisher[S]) offer(key string, k known[S]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiting, ok := p.next[key]; !ok || k.newer(waiting) {
		p.next[key] = k
	}
	if _, ok := p.busy[key]; ok {
		return
	}
	if p.rt.spawn(func() { p.run(key) }) {
		p.busy[key] = struct{}{}
	}
}

// run sends what there is for key until nothing is left.
func (p *publisher[S]) run(key string) {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	for {
		p.mu.Lock()
		k, ok := p.next[key]
		delete(p.next, key)
		if !ok {
			delete(p.busy, key)
		}
		p.mu.Unlock()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		if err := p.publish(ctx, key, k.state); err != nil {
			p.rt.log.Debug("broadcast lost; other replicas will read the store", "key", key, "err", err)
		}
		cancel()
	}
}
