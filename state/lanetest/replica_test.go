package lanetest

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/state"
)

// A message is an op on the wire.
type message struct {
	op      *op
	do      string // state.Void, when it was withdrawn
	from    uint64
	age     time.Duration
	stamp   time.Time // the server's clock, heard before the entry was seen in the outbox
	conn    *conn
	history int // ground truth: at its arrival
}

// A finMessage says that all up to upto was answered, and durably removed.
type finMessage struct {
	client state.Client
	topic  int
	upto   uint64
}

// A conn is one connection of a page to a replica; it delivers in order.
type conn struct {
	page             *page
	replica          *replica
	life             int // of the replica
	cut              bool
	sent, lostFrom   int // messages up to lostFrom arrive although it was cut
	lastUp, lastDown time.Duration
	stamp            time.Time // the replica's clock, last heard
	told             bool      // a stamp has come
}

// A replica has a real batcher, anew in each life.
type replica struct {
	*sim
	id      int
	up      bool
	life    int // grows with each crash
	skew    time.Duration
	batcher *state.Batcher
	open    *atomic.Int64 // ops of this life without an answer

	// Ground truth: what the store has said of topics last, and what rooms show.
	saw   [topics]sight
	lanes [topics]map[state.Client]uint64 // Last of each
	shown [topics]state.Record
}

func newReplica(s *sim, id int) *replica {
	r := &replica{sim: s, id: id, skew: s.ms(0, 2*skew.Milliseconds()) - skew}
	r.start()
	return r
}

func (r *replica) clock() time.Time { return time.Now().Add(r.skew) }

// start begins a life.
func (r *replica) start() {
	var mu sync.Mutex // guards jitter
	r.open = new(atomic.Int64)
	jitter, life := rand.New(rand.NewPCG(r.rng.Uint64(), 1)), r.life
	r.saw, r.shown, r.lanes = [topics]sight{}, [topics]state.Record{}, [topics]map[state.Client]uint64{}
	r.batcher = state.NewBatcher(line{r, life}, &state.BatcherOptions{
		Calls: 1 + r.pick(2), Patience: patience, CallTimeout: callTimeout, OpLifetime: opLifetime, Clock: r.clock,
		Rand: func(n time.Duration) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return time.Duration(jitter.Int64N(int64(n)))
		},
		Committed: func(c state.Commit) {
			r.tell(r.id, func() {
				if r.life == life {
					r.broadcast(numberOf(c.Topic), c.Record)
				}
			})
		},
	}, book())
	r.up = true
}

// stop ends a life: at once, or in an orderly way, in which nobody listens to it
// either. What was sent to the store is still done.
func (r *replica) stop(patience time.Duration) {
	r.up = false
	r.life++
	b, open := r.batcher, r.open
	r.closing.Go(func() { // ends with the batcher's last call
		over, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = b.Close(over) // cut off or not
		r.unanswered.Add(open.Load())
	})
}

func (r *replica) crash() {
	if !r.up {
		return
	}
	r.log("replica %d crashes", r.id)
	r.stop(time.Duration(r.pick(2)) * time.Minute)
	for _, b := range r.browsers {
		for _, p := range b.tabs {
			if p.conn != nil && p.conn.replica == r {
				p.disconnect(true)
			}
		}
	}
	r.after(r.ms(20, 800), r.start)
}

// broadcast shows what was committed, and tells the others, perhaps.
func (r *replica) broadcast(t int, record state.Record) {
	r.show(t, record)
	for _, other := range r.replicas {
		if other != r && other.up && !r.chance(0.3) {
			life := other.life
			r.after(r.wire(), func() {
				if other.life == life {
					other.show(t, record)
					other.batcher.Heard(topicOf(t), string(rune('a'+r.id)), record)
				}
			})
		}
	}
}

// learn is what a replica's rooms do with a record.
func (r *replica) learn(t int, record state.Record) {
	if r.up {
		r.show(t, record)
		r.batcher.Learn(topicOf(t), record)
	}
}

func (r *replica) show(t int, record state.Record) {
	if record.Newer(r.shown[t]) {
		r.shown[t] = record
	}
}

// see takes in what the store says of a step.
func (r *replica) see(step state.Step, o state.Outcome, saw sight) {
	t := numberOf(step.Topic)
	r.saw[t] = saw
	if r.lanes[t] == nil {
		r.lanes[t] = map[state.Client]uint64{}
	}
	for i, m := range step.Moves {
		if r.lanes[t][m.Client] = m.To.Last; o.Err != nil {
			r.lanes[t][m.Client] = o.Lanes[i].Last
		}
	}
}

// knew is how far the lane of an op's client was when the store said so last, or
// is, when it was not asked.
func (r *replica) knew(o *op) uint64 {
	if last, ok := r.lanes[o.topic][o.client]; ok {
		return last
	}
	return r.store.lane(topicOf(o.topic), o.client).Last
}

// receive takes a message.
func (r *replica) receive(m message) {
	m.history = r.history
	life := r.life
	o := m.op
	open := r.open
	open.Add(1)
	op := state.Op{Client: o.client, Seq: o.seq, From: m.from, Seen: m.stamp, Age: m.age, Do: m.do, In: state.Fields{"op": {o.name}}}
	r.batcher.Submit(nil, topicOf(o.topic), op, func(a state.Answer) {
		open.Add(-1)
		r.tell(r.id, func() {
			if r.life == life {
				r.decided(r, m, a)
				r.reply(m.conn, o, a.Verdict)
			}
		})
	})
}

// finished takes a fin. Nobody waits for an answer, and it may be lost.
func (r *replica) finished(m finMessage) { r.batcher.Finish(topicOf(m.topic), m.client, m.upto) }

// beat tells a page the time, when it connects and from then on.
func (r *replica) beat(c *conn) {
	if c.cut || r.life != c.life || c.page.dead {
		return
	}
	stamp := r.clock()
	c.lastDown = max(c.lastDown+time.Microsecond, r.now()+r.wire())
	r.after(c.lastDown-r.now(), func() { c.hear(stamp) })
	r.after(beat, func() { r.beat(c) })
}

func (c *conn) hear(stamp time.Time) {
	if c.cut || !c.page.awake() {
		return
	}
	first := !c.told
	if c.stamp, c.told = stamp, true; first {
		c.page.waiting = false
		for t := range topics {
			c.page.resend(t)
		}
	}
}

func (r *replica) reply(c *conn, o *op, v state.Verdict) {
	c.lastDown = max(c.lastDown+time.Microsecond, r.now()+r.wire())
	stamp := r.clock()
	r.after(c.lastDown-r.now(), func() {
		if !c.cut && c.page.awake() {
			c.hear(stamp)
			c.page.hear(o, v)
		}
	})
}
