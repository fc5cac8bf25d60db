package state

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"lockstep/internal/callback"
)

// Errors of a Producer.
var (
	// ErrFenced means that the producer was resumed elsewhere since: it can do nothing any more.
	ErrFenced = errors.New("state: the producer was resumed elsewhere")
	// ErrExhausted means that the client has done as many ops, or was resumed as often, as one can.
	ErrExhausted = errors.New("state: the client of the producer is used up")
)

// A seq of a producer is how often it was resumed, and how many ops it has made in all. So what an
// earlier run has on its way is not taken for what this one sends, and the lane says how far the
// producer has come.
const (
	countBits = 32
	maxCount  = 1<<countBits - 1
	maxRuns   = MaxSeq >> countBits
)

// A Submitter takes ops: a Batcher does, or what sends them to a replica.
type Submitter interface {
	Submit(from Sender, topic string, op Op, done func(Answer))
}

// ProducerOptions of a Producer. Zero values are the defaults.
type ProducerOptions struct {
	// User is whose ops they are, as the application knows them.
	User string
	// MaxQueue is how many ops may wait for their answers. Default 1,024.
	MaxQueue int
	// Rand returns a random duration from 0 to below n, of pauses. Nil: math/rand.
	Rand   func(n time.Duration) time.Duration
	Logger *slog.Logger // nil: slog.Default()
}

// A Producer does ops on one topic for a program that may be killed and started again at any
// time: it appends what a model says to a log, for example. Each op is applied exactly once,
// in the order in which they were given. After a restart Resume says how many there were, and
// what the run before has on its way is not applied any more.
//
// Its methods may be called concurrently. It has one goroutine, from Resume to the end. A
// client may have a producer on each of many topics.
type Producer struct {
	// set once
	to     Submitter
	store  Store
	topic  string
	client Client
	opts   ProducerOptions
	room   chan struct{} // has an element for each op that is not answered
	guard  *guard
	more   chan struct{}       // of size 1: there is something to do
	heard  chan producerAnswer // of size maxSent: one for each that is sent
	halt   chan struct{}       // closed by Close, for Resume
	ended  chan struct{}       // closed by the end of the goroutine

	mu      sync.Mutex // guards the rest
	resumed bool
	closing bool
	over    error       // why nothing is taken any more; nil: it is
	last    uint64      // the seq that was given out last
	queue   []*produced // that are not answered, by seq
}

// maxSent is how many ops of a producer are on their way at most.
const maxSent = Window / 2

// A produced is an op of a producer.
type produced struct {
	op   Op
	made time.Time
	done func(Answer)
	sent bool // and no answer has come since
}

// A producerAnswer is that to an op.
type producerAnswer struct {
	op *produced
	Answer
}

// ProducerClient returns the client of a producer by its name: the same for the same secret
// and name, and not to be guessed without the secret, of 16 bytes or more.
func ProducerClient(secret []byte, name string) (c Client) {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte("lockstep producer " + name)) // it never fails
	copy(c[:], mac.Sum(nil))
	return c
}

// NewProducer returns a producer of a client, which nobody else uses on the topic. to applies its
// ops, and s is the store behind that. Nil options are the defaults. Resume comes first.
func NewProducer(to Submitter, s Store, topic string, client Client, opts *ProducerOptions) *Producer {
	p := &Producer{
		to: to, topic: topic, client: client,
		more: make(chan struct{}, 1), heard: make(chan producerAnswer, maxSent),
		halt: make(chan struct{}), ended: make(chan struct{}),
	}
	if opts != nil {
		p.opts = *opts
	}
	setDefault(&p.opts.MaxQueue, 1<<10)
	if p.opts.Rand == nil {
		p.opts.Rand = rand.N[time.Duration]
	}
	if p.opts.Logger == nil {
		p.opts.Logger = slog.Default()
	}
	p.guard = &guard{callback.Guard{Log: p.opts.Logger, Package: "state"}}
	p.store = guardedStore{s, p.guard}
	p.room = make(chan struct{}, p.opts.MaxQueue)
	return p
}

// Resume returns how many ops the client has made on the topic that were dealt with, in this
// and all former runs, and sees to it that no other will be but those of this run: the
// program goes on with what comes behind them. Those that were refused count, too. It tries
// until ctx ends. Of two producers of one client and topic the one that is resumed later
// wins; the other ends with ErrFenced. A second call is an error.
//
// A store knows a client for its Lifetime after its last op. One that is resumed later begins
// with 0.
func (p *Producer) Resume(ctx context.Context) (n uint64, err error) {
	if !p.begin() {
		return 0, errors.New("state: a producer is resumed once")
	}
	seq, err := p.fence(ctx)
	if err != nil {
		p.finish(err)
		close(p.ended)
		return 0, err
	}
	p.mu.Lock()
	p.last = seq
	p.mu.Unlock()
	go p.run() // ends with Close, or when it is fenced
	return seq & maxCount, nil
}

// begin reports whether this is the first call of Resume, and nothing has ended yet.
func (p *Producer) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.resumed && !p.closing
	p.resumed = p.resumed || first
	return first
}

// fence moves the lane past all that former runs can have sent, and returns where it is then.
func (p *Producer) fence(ctx context.Context) (uint64, error) {
	for n := 0; ; n++ {
		seq, err := p.tryFence(ctx)
		if err == nil || errors.Is(err, ErrExhausted) || errors.Is(err, ErrBadStep) {
			return seq, err
		}
		pause := time.NewTimer(p.pause(n))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return 0, fmt.Errorf("state: a producer can't be resumed: %w: %w", ctx.Err(), err)
		case <-p.halt:
			pause.Stop()
			return 0, ErrClosed
		}
	}
}

// pause is that before the next try, with full jitter.
func (p *Producer) pause(n int) time.Duration {
	return p.opts.Rand(min(minRetry<<min(n, 10), maxRetry) + 1)
}

// tryFence moves the lane if nobody else does meanwhile. When it is unknown whether it was
// moved, the next try moves it from there.
func (p *Producer) tryFence(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, producerTimeout)
	defer cancel()
	look := Step{Topic: p.topic, Moves: []Move{{Client: p.client, Min: 1, To: Lane{Last: 1, From: 1}}}}
	now := p.store.Commit(ctx, look)[0]
	if !isConflict(now.Err) {
		return 0, fmt.Errorf("state: a lane can't be read: %w", now.Err)
	}
	lane := now.Lanes[0]
	runs, count := lane.Last>>countBits, lane.Last&maxCount
	if runs >= maxRuns {
		return 0, ErrExhausted
	}
	seq := (runs+1)<<countBits | count
	step := Step{Topic: p.topic, Base: now.Record, Moves: []Move{{
		Client: p.client, Min: lane.Last, Max: lane.Last, Was: lane.Refused, To: Lane{Last: seq, From: seq},
	}}}
	return seq, p.store.Commit(ctx, step)[0].Err
}

// producerTimeout bounds one try to move a lane.
const producerTimeout = 6 * time.Second

// Send does an action, behind all that were given before. It blocks while MaxQueue ops wait
// for their answers, at most until ctx ends. done is called once: with Ack or Refused, as a
// Batcher answers, or when the producer ends before that, with Retry and the reason in Err.
// Then nobody knows what became of the op before the next run is resumed. done must not
// block. Nil: nobody is told. An error means that the op was not taken.
func (p *Producer) Send(ctx context.Context, do string, in Fields, done func(Answer)) error {
	select {
	case p.room <- struct{}{}:
	case <-p.ended: // push says why
	case <-ctx.Done():
		return ctx.Err()
	}
	return p.push(do, in, done)
}

// Do is Send, and waits for the answer. When ctx ends first it returns ctx's error, and the
// op goes on.
func (p *Producer) Do(ctx context.Context, do string, in Fields) (Answer, error) {
	ch := make(chan Answer, 1) // room for an answer that nobody waits for any more
	if err := p.Send(ctx, do, in, func(a Answer) { ch <- a }); err != nil {
		return Answer{}, err
	}
	select {
	case a := <-ch:
		return a, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// push gives an op its number, for which there is room unless it has ended.
func (p *Producer) push(do string, in Fields, done func(Answer)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refuses(); err != nil {
		select {
		case <-p.room:
		default:
		}
		return err
	}
	if done == nil {
		done = func(Answer) {}
	}
	p.last++
	p.queue = append(p.queue, &produced{
		op:   Op{Client: p.client, Seq: p.last, Do: do, In: in, User: p.opts.User},
		made: time.Now(), done: p.guard.guarded(done),
	})
	p.wake()
	return nil
}

// refuses returns why no op is taken, or nil. The caller holds mu.
func (p *Producer) refuses() error {
	switch {
	case p.over != nil:
		return p.over
	case p.closing:
		return ErrClosed
	case p.last == 0:
		return errors.New("state: a producer that was not resumed")
	case p.last&maxCount == maxCount:
		return ErrExhausted
	}
	return nil
}

// wake has the goroutine look at what there is.
func (p *Producer) wake() {
	select {
	case p.more <- struct{}{}:
	default: // it will
	}
}

// Close takes no more ops and waits for the answers to those that it has, at most until ctx
// ends: then what is left is answered Retry, and ctx's error returned. Closing twice is
// harmless.
func (p *Producer) Close(ctx context.Context) error {
	if !p.close() {
		return nil // there is no goroutine
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
	}
	p.finish(ErrClosed)
	<-p.ended
	return ctx.Err()
}

// close reports whether the goroutine has to be waited for.
func (p *Producer) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closing {
		p.closing = true
		close(p.halt)
		p.wake()
	}
	return p.resumed
}

// finish says that nothing is taken any more.
func (p *Producer) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil {
		p.over = err
	}
	p.wake()
}

// A producing is the run of a producer: it belongs to its goroutine.
type producing struct {
	*Producer
	out      int              // ops that are sent, and not answered
	again    bool             // what was sent is to be sent again, after all answers and a pause
	failures int              // since an op was dealt with
	over     <-chan time.Time // of the pause
}

// run sends what is given, until the end.
func (p *Producer) run() {
	r := producing{Producer: p}
	for !r.atEnd() {
		r.submit()
		select {
		case <-p.more:
		case a := <-p.heard:
			r.take(a)
		case <-r.over:
			r.again, r.over = false, nil
		}
	}
	p.end()
}

// atEnd reports whether nothing is to be waited for.
func (p *Producer) atEnd() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over != nil || p.closing && len(p.queue) == 0
}

// submit sends what may be sent now.
func (r *producing) submit() {
	if r.again {
		return
	}
	for _, op := range r.unsent(maxSent - r.out) {
		r.out++
		sent := op.op
		sent.Age = time.Since(op.made)
		r.to.Submit(nil, r.topic, sent, func(a Answer) { r.heard <- producerAnswer{op, a} })
	}
}

// unsent returns the first ops that are not on their way, most at most, which they are then.
func (p *Producer) unsent(most int) (ops []*produced) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, op := range p.queue {
		if len(ops) == most {
			break
		}
		if !op.sent {
			op.sent, op.op.From = true, p.queue[0].op.Seq
			ops = append(ops, op)
		}
	}
	return ops
}

// take takes in an answer.
func (r *producing) take(a producerAnswer) {
	r.out--
	switch a.Verdict {
	case Retry:
		r.again = true
	case Settled:
		r.finish(ErrFenced) // by a lane that has gone past what this run has heard of
		return
	default:
		r.failures = 0
		r.remove(a.op)
		<-r.room
		a.op.done(a.Answer)
	}
	if r.again && r.out == 0 {
		r.sendAgain()
	}
}

// sendAgain has all ops sent again that are not answered, in their order, after a pause.
func (r *producing) sendAgain() {
	r.over = time.After(r.pause(r.failures))
	r.failures++
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range r.queue {
		op.sent = false
	}
}

// remove takes an op out of the queue, where it is among the first.
func (p *Producer) remove(op *produced) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.queue, op)
	p.queue = slices.Delete(p.queue, i, i+1)
}

// end answers what is left.
func (p *Producer) end() {
	p.finish(ErrClosed)
	p.mu.Lock()
	left, err := p.queue, p.over
	p.queue = nil
	p.mu.Unlock()
	for _, op := range left {
		op.done(Answer{Verdict: Retry, Err: err})
	}
	close(p.ended)
}
