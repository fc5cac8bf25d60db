package statetest

import (
	"context"
	"time"

	"lockstep/state"
)

// opsCases say what a store is for: ops, as a batcher has them committed, that are
// sent again.
func opsCases() []testCase {
	return []testCase{
		{name: "an op that is sent again after six of eight parts of a lifetime counts once, and one after all of it is old", run: sentAgain, lacks: lacksShift},
		{name: "an op that is sent again when the store's clock has jumped 20 minutes counts once", run: sentAgainAfterJump, lacks: lacksShift},
	}
}

// A replica has ops committed to the store, one replica after the other.
type replica struct {
	*env
	kind  state.Kind[int]
	ahead time.Duration // of its clock, and of the store's
	count int           // what was added
}

func (e *env) replica() *replica {
	return &replica{env: e, kind: state.Kind[int]{Name: "n", Actions: map[string]state.Action[int]{
		"add": func(n int, _ state.Fields, _ state.Call) (int, error) { return n + 1, nil },
	}}}
}

// send sends an op to a new replica, which takes ops of 7/8 of the store's lifetime,
// as is the default.
func (r *replica) send(op state.Op) state.Answer {
	r.Helper()
	b := state.NewBatcher(r.store, &state.BatcherOptions{
		Clock: func() time.Time { return time.Now().Add(r.ahead) }, OpLifetime: r.opts.Lifetime / 8 * 7,
	}, r.kind)
	a, err := b.Apply(r.ctx, nil, "n:"+r.topic, op)
	if err == nil {
		err = b.Close(context.WithoutCancel(r.ctx))
	}
	if err != nil {
		r.Fatal(err)
	}
	return a
}

// wantTwice sends an op twice, which is to have the same answer both times, and to
// add so much.
func (r *replica) wantTwice(op state.Op, want state.Verdict, adds int) {
	r.Helper()
	for i := range 2 {
		if a := r.send(op); a.Verdict != want {
			r.Fatalf("sending %d: got %v %s, %v, want %v", i+1, a.Verdict, a.Reason, a.Err, want)
		}
	}
	r.count += adds
	if n, err := r.kind.Read(r.readAt(r.store, "n:"+r.topic)[0].Data); err != nil || n != r.count {
		r.Fatalf("got %d, %v, want %d", n, err, r.count)
	}
}

// pass lets time pass, while others use the topic.
func (r *replica) pass(d time.Duration) {
	r.Helper()
	const steps = 12
	for range steps {
		r.ahead += d / steps
		r.opts.Shift(r, r.store, d/steps)
		r.wantTwice(opOf(freshClient(), 0), state.Ack, 1)
	}
}

func opOf(c state.Client, age time.Duration) state.Op {
	return state.Op{Client: c, Seq: 1, From: 1, Do: "add", Age: age}
}

// sentAgain is in days if the lifetime is that of package state.
func sentAgain(e *env) {
	r, day := e.replica(), e.opts.Lifetime/8
	atOnce, late, never := freshClient(), freshClient(), freshClient()
	r.wantTwice(opOf(atOnce, 0), state.Ack, 1)
	r.pass(6 * day)
	r.wantTwice(opOf(atOnce, 6*day), state.Ack, 0)
	r.wantTwice(opOf(late, 6*day), state.Ack, 1)
	r.pass(2 * day) // the lane is known, and the op is old
	r.wantTwice(opOf(late, 8*day), state.Ack, 0)
	r.wantTwice(opOf(never, 8*day), state.Old, 0)
	r.pass(3 * e.opts.Lifetime) // nobody knows the lanes any more
	for _, c := range []state.Client{atOnce, late, never} {
		r.wantTwice(opOf(c, 32*day), state.Old, 0)
	}
}

// sentAgainAfterJump: the clocks of replicas are right. An op of a client that is
// done is sent again as well: by a page that was frozen, or in a copy of a message.
func sentAgainAfterJump(e *env) {
	r := e.replica()
	mine, done := freshClient(), freshClient()
	r.wantTwice(opOf(mine, 0), state.Ack, 1)
	r.wantTwice(opOf(done, 0), state.Ack, 1)
	if err := e.store.Finish(e.ctx, state.Mark{Topic: "n:" + e.topic, Client: done, UpTo: 1}); err != nil {
		e.Fatal(err)
	}
	for _, d := range []time.Duration{20 * time.Minute, -20 * time.Minute, -20 * time.Minute, 20 * time.Minute} {
		e.opts.Shift(e, e.store, d)
		r.wantTwice(opOf(freshClient(), 0), state.Ack, 1)
		r.wantTwice(opOf(mine, 0), state.Ack, 0)
		r.wantTwice(opOf(done, 0), state.Ack, 0)
	}
}
