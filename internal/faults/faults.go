// Package faults does to a replica, inside of its process, what kills and delays replicas
// elsewhere: it stands between the replica and its broker, its store and its sockets. It is for a
// demo that is broken on purpose, and knows neither who asks for a fault nor when it ends.
package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
)

// Errors that a replica hears of its surroundings.
var (
	// ErrKilled is what is left of a replica that was killed hears of broker and store.
	ErrKilled = errors.New("faults: the replica was killed")
	// ErrCut is what a replica hears of its broker while the link to it is cut.
	ErrCut = errors.New("faults: the link to the broker is cut")
)

// A Replica is what stands between one replica and its surroundings. The zero value is not ready:
// New makes one. Its methods may be called concurrently.
type Replica struct {
	mu     sync.Mutex // guards the rest
	life   *life      // of the replica that runs
	cut    bool
	drop   float64       // share of the messages, 0 to 1
	thaw   chan struct{} // closed when it is not frozen any more; nil: it is not frozen
	conns  map[*conn]struct{}
	links  map[*link]struct{} // to the broker
	listen *listener          // nil: Listener was not called
}

// New returns one without a fault.
func New() *Replica {
	return &Replica{life: &life{over: make(chan struct{})}, conns: make(map[*conn]struct{}), links: make(map[*link]struct{})}
}

// A life is that of a replica from its start until it is killed.
type life struct {
	over chan struct{} // closed when it is
}

func (l *life) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// Cut cuts the link to the broker: what there is of it breaks, and there is no other until Mend.
func (r *Replica) Cut() {
	r.mu.Lock()
	r.cut = true
	broken := r.takeLinks()
	r.mu.Unlock()
	for _, l := range broken {
		l.end(ErrCut)
	}
}

// takeLinks returns the links that are open, which are nobody's then. The caller holds mu.
func (r *Replica) takeLinks() (all []*link) {
	for l := range r.links {
		all = append(all, l)
	}
	clear(r.links)
	return all
}

// Mend ends Cut.
func (r *Replica) Mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = false
}

// Drop loses a share of the messages that come from the broker, 0 to 1, and says nothing of it.
func (r *Replica) Drop(share float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop = share
}

// dropped reports whether a message is lost.
func (r *Replica) dropped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drop > 0 && rand.Float64() < r.drop
}

// Freeze stops the replica where it is, as SIGSTOP would as seen from outside: its connections take
// in and give out nothing, new ones wait to be accepted, and so do its calls of broker and store.
// Until Thaw.
func (r *Replica) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.thaw == nil {
		r.thaw = make(chan struct{})
	}
}

// Thaw ends Freeze: the replica goes on where it was.
func (r *Replica) Thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.thaw != nil {
		close(r.thaw)
		r.thaw = nil
	}
}

// Kill ends the replica as kill -9 does: its connections are reset, and its address refuses others;
// what it had begun reaches neither broker nor store. Who has started it stops what is left of it,
// and calls Revive before it starts another, and then Open.
func (r *Replica) Kill() {
	r.mu.Lock()
	if r.life.isOver() {
		r.mu.Unlock()
		return
	}
	close(r.life.over)
	broken := r.takeLinks()
	var open []*conn
	for c := range r.conns {
		open = append(open, c)
	}
	l := r.listen
	r.mu.Unlock()
	if l != nil {
		l.down()
	}
	for _, c := range open {
		c.reset()
	}
	for _, l := range broken {
		l.end(ErrKilled)
	}
}

// Revive lets another replica be started in the place of the one that was killed, with another
// Driver and Store. Its address refuses until Open.
func (r *Replica) Revive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.isOver() {
		r.life = &life{over: make(chan struct{})}
	}
}

// Open has the replica's address take connections again. The error is that of listening; then it
// can be called again.
func (r *Replica) Open(ctx context.Context) error {
	r.mu.Lock()
	l := r.listen
	r.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.up(ctx)
}

// current returns the life of the replica that runs, or is about to.
func (r *Replica) current() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.life
}

// wait waits while the replica is frozen. The error is ErrKilled, or ctx's.
func (r *Replica) wait(ctx context.Context, l *life) error {
	if err := r.thawed(ctx.Done(), l); err != nil {
		return err
	}
	return ctx.Err()
}

// thawed waits while the replica is frozen, and until done is closed. The error is ErrKilled.
func (r *Replica) thawed(done <-chan struct{}, l *life) error {
	for {
		r.mu.Lock()
		thaw := r.thaw
		r.mu.Unlock()
		if l.isOver() {
			return ErrKilled
		}
		if thaw == nil {
			return nil
		}
		select {
		case <-thaw:
		case <-l.over:
		case <-done:
			return nil
		}
	}
}
