package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/counter"
	"lockstep/counter/memcounter"
	"lockstep/htmx"
	"lockstep/internal/history"
	"lockstep/live"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

// A weather is what a cluster is exposed to.
type weather struct {
	broker pubsubtest.Faults // all the time
	chaos  bool              // faults come and go, as the seed decides
	lossy  bool              // the store loses its data now and then
	cuts   bool              // connections of tabs are cut now and then
}

// An outcome is what came of one seed.
type outcome struct {
	found  []history.Violation
	events []string // what was done to the cluster
	tally
}

// A tally counts what must have been seen for a run to mean something.
type tally struct{ acked, resent, repeated, stale int }

func (t *tally) add(o tally) {
	t.acked, t.resent, t.repeated, t.stale = t.acked+o.acked, t.resent+o.resent, t.repeated+o.repeated, t.stale+o.stale
}

const (
	clusterReplicas = 3
	clusterPersons  = 8
	stormy          = 20 * time.Second
	calm            = 20 * time.Second
)

// A cluster is three replicas, a broker and a store that can fail, and people.
type cluster struct {
	t      *testing.T
	design design
	store  *faultyStore
	broker *pubsubtest.FaultyDriver
	base   pubsubtest.Faults
	h      *history.History
	began  time.Time
	people []*person

	weather weather
	wire    *live.Wire

	mu         sync.Mutex // guards the rest
	events     []string
	replicas   []*app.App
	restarting [clusterReplicas]bool
}

func newCluster(t *testing.T, seed uint64, d design, weather weather) *cluster {
	faults := weather.broker
	faults.Seed = seed
	w := &cluster{
		t: t, design: d, weather: weather, base: faults,
		broker: pubsubtest.Faulty(mempubsub.NewBus(), faults),
		store:  &faultyStore{inner: memcounter.New(nil), rnd: rand.New(rand.NewPCG(seed, 2)), design: d},
		wire:   &live.Wire{Encode: func(m []byte) []byte { return append(slices.Clone(m), '\n') }},
		h:      history.New(history.Options{Lossy: weather.lossy}), began: time.Now(),
	}
	for range clusterReplicas {
		w.replicas = append(w.replicas, w.startReplica())
	}
	for i := range clusterPersons {
		w.people = append(w.people, &person{
			w: w, name: strconv.Itoa(i), rnd: rand.New(rand.NewPCG(seed, uint64(100+i))), outbox: map[string]bool{},
		})
	}
	return w
}

// upTo is a random time of at most d.
func upTo(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

func (w *cluster) startReplica() *app.App {
	o := &app.Options{Replica: "r"}
	if !w.design.antiEntropy {
		o.Refresh, o.Digest = 24*time.Hour, 24*time.Hour
	}
	a := app.New(w.broker, w.store, o)
	// A start fails while the broker does, as it would for an operator.
	for a.Start(context.Background()) != nil {
		time.Sleep(200 * time.Millisecond)
		a = app.New(w.broker, w.store, o)
	}
	return a
}

// run lets people click for a while, under what the weather brings, and then
// in calm.
func (w *cluster) run() outcome {
	ctx, leave := context.WithCancel(context.Background())
	var there sync.WaitGroup
	for _, p := range w.people {
		there.Go(func() { p.live(ctx) })
	}
	clicking, stop := context.WithCancel(ctx)
	var clicks sync.WaitGroup
	for _, p := range w.people {
		clicks.Go(func() { p.clickNowAndThen(clicking) })
	}
	// Two storms, so that faults meet.
	var storms sync.WaitGroup
	for i := uint64(0); w.weather.chaos && i < 2; i++ {
		storms.Go(func() { w.storm(rand.New(rand.NewPCG(w.base.Seed, 50+i))) })
	}
	for w.weather.cuts && time.Since(w.began) < stormy {
		time.Sleep(200 * time.Millisecond)
		w.people[0].cut()
	}
	storms.Wait()
	time.Sleep(time.Until(w.began.Add(stormy)))
	stop()
	clicks.Wait()
	w.heal()
	time.Sleep(calm)

	out := outcome{events: w.events}
	var connected []string
	for _, p := range w.people {
		connected = append(connected, p.name)
	}
	out.found = w.h.Check(w.store.truth(), connected...)
	leave()
	there.Wait()
	for _, a := range w.replicas {
		if err := a.Stop(context.Background(), 0); err != nil {
			w.t.Error(err)
		}
	}
	out.acked, out.repeated = w.h.Acknowledged(), w.store.repeated
	for _, p := range w.people {
		out.resent += p.resent
		out.stale += p.stale
	}
	return out
}

// storm does one thing after the other to the cluster.
func (w *cluster) storm(rnd *rand.Rand) {
	kinds := w.disturbances(rnd)
	for time.Since(w.began) < stormy {
		time.Sleep(upTo(rnd, 1500*time.Millisecond))
		k := kinds[rnd.IntN(len(kinds))]
		w.log(k.name)
		k.do()
	}
}

// A disturbance is one fault that comes and goes.
type disturbance struct {
	name string
	do   func()
}

func (w *cluster) disturbances(rnd *rand.Rand) []disturbance {
	// while is how long one lasts.
	while := func() { time.Sleep(upTo(rnd, 4*time.Second)) }
	kinds := []disturbance{
		{"the broker's connections go deaf", w.broker.Deafen},
		{"the broker delivers nothing", func() { w.broker.SetDeaf(true); while(); w.broker.SetDeaf(false) }},
		{"the broker rejects half of the calls", func() {
			f := w.base
			f.Reject = 0.5
			w.broker.SetFaults(f)
			while()
			w.broker.SetFaults(w.base)
		}},
		{"the broker is slow", func() {
			f := w.base
			f.Delay, f.Jitter = 300*time.Millisecond, 300*time.Millisecond
			w.broker.SetFaults(f)
			while()
			w.broker.SetFaults(w.base)
		}},
		{"the store is away", func() { w.store.set(1, 0, 0); while(); w.store.set(0, 0, 0) }},
		{"the store fails now and then, and often only its answers are lost", func() {
			w.store.set(0.1, 0.4, 0)
			while()
			w.store.set(0, 0, 0)
		}},
		{"the store is slow", func() { w.store.set(0, 0, 300*time.Millisecond); while(); w.store.set(0, 0, 0) }},
		{"a replica is restarted", func() { w.restart(rnd) }},
		{"many connections of tabs are cut", func() {
			for _, p := range w.people {
				if rnd.IntN(2) == 0 {
					p.cut()
				}
			}
		}},
		{"the store loses its data", w.store.lose},
	}
	if !w.weather.lossy {
		kinds = kinds[:len(kinds)-1]
	}
	return kinds
}

func (w *cluster) log(event string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf("%7.3fs %s", time.Since(w.began).Seconds(), event))
}

// restart replaces a replica, in a hurry or with a drain.
func (w *cluster) restart(rnd *rand.Rand) {
	i, drain := rnd.IntN(clusterReplicas), upTo(rnd, 2*time.Second)
	w.mu.Lock()
	old, busy := w.replicas[i], w.restarting[i]
	w.restarting[i] = true
	w.mu.Unlock()
	if busy {
		return // by the other storm
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := old.Stop(ctx, drain); err != nil {
		w.log("a replica did not end in peace: " + err.Error())
	}
	a := w.startReplica()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas[i], w.restarting[i] = a, false
}

func (w *cluster) heal() {
	w.broker.SetDeaf(false)
	w.broker.SetFaults(w.base)
	w.store.set(0, 0, 0)
}

func (w *cluster) replica(i int) *app.App {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replicas[i%len(w.replicas)]
}

// A faultyStore is a store behind a network.
type faultyStore struct {
	design design

	mu       sync.Mutex // guards the rest
	inner    *memcounter.Store
	rnd      *rand.Rand
	fails    float64 // of calls: nothing is done
	silent   float64 // of calls: it is done, but the answer is lost
	slow     time.Duration
	sick     int // grows with each change: joins meanwhile may be shown what is known
	serial   int
	old      []counter.Value // of the first Get
	repeated int             // ops that had been applied before
}

func (s *faultyStore) set(fails, silent float64, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.silent, s.slow = fails, silent, slow
	s.sick++
}

// lose replaces the store by an empty one.
func (s *faultyStore) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inner = memcounter.New(nil)
	s.sick++
}

// truth is the value that the store has, whatever answers it gives. state
// changes whenever the store's health does; it is well if ok.
func (s *faultyStore) truth() counter.Value {
	s.mu.Lock()
	inner := s.inner
	s.mu.Unlock()
	v, err := inner.Get(context.Background(), "x")
	if err != nil {
		return counter.Value{}
	}
	return s.pinned(v[0])
}

func (s *faultyStore) health() (state int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sick, s.fails == 0 && s.silent == 0
}

func (s *faultyStore) pinned(v counter.Value) counter.Value {
	if !s.design.epochs {
		v.Epoch = 1
	}
	return v
}

var errAway = errors.New("the store is away")

// reach is the way to the store; silent means that the answer will be lost.
func (s *faultyStore) reach(ctx context.Context) (inner *memcounter.Store, silent bool, err error) {
	s.mu.Lock()
	slow, fails := s.slow, s.rnd.Float64() < s.fails
	inner, silent = s.inner, s.rnd.Float64() < s.silent
	s.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	if fails {
		return nil, false, errAway
	}
	return inner, silent, nil
}

func (s *faultyStore) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	inner, silent, err := s.reach(ctx)
	if err != nil {
		return counter.Value{}, nil, err
	}
	if !s.design.dedup {
		ops = s.renamed(ops)
	}
	v, applied, err := inner.Apply(ctx, name, ops...)
	s.mu.Lock()
	for _, fresh := range applied {
		if !fresh {
			s.repeated++
		}
	}
	s.mu.Unlock()
	if silent && err == nil {
		err = errAway
	}
	return s.pinned(v), applied, err
}

// renamed gives ops ids that nobody has seen.
func (s *faultyStore) renamed(ops []counter.Op) []counter.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	ops = slices.Clone(ops)
	for i := range ops {
		s.serial++
		ops[i].ID = fmt.Sprintf("a-new-name-%020d", s.serial)
	}
	return ops
}

func (s *faultyStore) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	inner, silent, err := s.reach(ctx)
	if err != nil || silent {
		return nil, errAway
	}
	vs, err := inner.Get(ctx, names...)
	for i := range vs {
		vs[i] = s.pinned(vs[i])
	}
	if s.design.readOnJoin || err != nil {
		return vs, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.old == nil {
		s.old = vs
	}
	return slices.Clone(s.old), nil
}

func (s *faultyStore) Close() error { return nil }

// A person has a tab, which connects to whichever replica takes it.
type person struct {
	w    *cluster
	name string
	rnd  *rand.Rand // owned by live

	mu      sync.Mutex // guards the rest
	line    *line      // nil: not connected
	shown   counter.Value
	any     bool
	outbox  map[string]bool // op: sent before
	order   []string        // of the outbox
	clicks  int
	resent  int
	stale   int
	joining bool // nothing has been shown since the connect
	health  int  // of the store, at the connect
}

// A line is one connection of a person, as a session sees it.
type line struct {
	p    *person
	end  chan struct{} // closed when either side has ended it
	once sync.Once
}

func (l *line) hangUp() { l.once.Do(func() { close(l.end) }) }

// Wire implements live.Conn: a message is a line.
func (l *line) Wire() *live.Wire { return l.p.w.wire }

// Bind implements live.Conn.
func (l *line) Bind(*live.Session) {}

// Send implements live.Conn.
func (l *line) Send(encoded []byte) bool {
	select {
	case <-l.end:
		return true // it has hung up
	default:
	}
	for m := range bytes.Lines(encoded) {
		l.p.receive(l, m)
	}
	return true
}

// Close implements live.Conn.
func (l *line) Close(live.Reason) { l.hangUp() }

// live connects again and again.
func (p *person) live(ctx context.Context) {
	for i := p.rnd.IntN(clusterReplicas); ctx.Err() == nil; i++ {
		p.connection(ctx, p.w.replica(i))
		time.Sleep(upTo(p.rnd, 500*time.Millisecond))
	}
}

func (p *person) connection(ctx context.Context, a *app.App) {
	l := &line{p: p, end: make(chan struct{})}
	p.mu.Lock()
	var ok bool
	if p.health, ok = p.w.store.health(); ok {
		p.w.h.Joined(p.name, p.w.store.truth())
	}
	p.joining = true
	p.line = l
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.line = nil
		p.mu.Unlock()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := a.Runtime().Connect(ctx, l, a.Counter("x"))
	if err != nil {
		return
	}
	defer s.Disconnect(live.ReasonLost)
	s.Receive(ctx, []byte(`{"hello":1}`))
	if !p.w.design.outbox {
		p.mu.Lock()
		clear(p.outbox)
		p.order = nil
		p.mu.Unlock()
	}
	again := time.NewTicker(htmx.RetryMin)
	defer again.Stop()
	for first := true; ; first = false {
		for _, op := range p.toSend(first) {
			if !s.Receive(ctx, []byte(`{"action":"increment","op":"`+op+`"}`)) {
				break
			}
		}
		select {
		case <-again.C:
		case <-l.end:
			return
		case <-ctx.Done():
			l.hangUp()
			return
		}
	}
}

// toSend returns what has not been sent on this connection, or was refused.
func (p *person) toSend(first bool) (ops []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, op := range p.order {
		sent := p.outbox[op]
		if sent && !first {
			continue
		}
		if sent {
			p.resent++
		}
		p.outbox[op] = true
		ops = append(ops, op)
	}
	return ops
}

func (p *person) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil {
		p.line.hangUp()
	}
}

// clickNowAndThen clicks until ctx ends. The tab sends within a second.
func (p *person) clickNowAndThen(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(uint64(len(p.name)), 7))
	for {
		select {
		case <-time.After(upTo(rnd, 500*time.Millisecond)):
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		p.clicks++
		op := fmt.Sprintf("op-of-person-%s-%06d", p.name, p.clicks)
		p.w.h.Sent(p.name, counter.Op{ID: op, Kind: counter.Increment})
		p.order = append(p.order, op)
		p.outbox[op] = false
		p.mu.Unlock()
	}
}

var rootAttribute = regexp.MustCompile(`data-(count|version|epoch)="(-?\d+)"`)

func parseState(content string) (v counter.Value, ok bool) {
	found := 0
	for _, m := range rootAttribute.FindAllStringSubmatch(content, -1) {
		n, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return v, false
		}
		found++
		switch m[1] {
		case "count":
			v.N = n
		case "version":
			v.Version = uint64(n)
		case "epoch":
			v.Epoch = uint64(n)
		}
	}
	return v, found == 3
}

// receive is what live.js does with a message.
func (p *person) receive(l *line, text []byte) {
	var m struct {
		Content, Error, Op string
		Ack                []string
		Retry              bool
	}
	if err := json.Unmarshal(text, &m); err != nil {
		p.w.t.Errorf("%q: %v", text, err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != l {
		return // of a connection that this tab has left
	}
	if v, ok := parseState(m.Content); ok {
		p.show(v)
	}
	for _, op := range m.Ack {
		p.w.h.Acked(p.name, op)
		p.settle(op)
	}
	switch {
	case m.Error == "":
	case m.Retry:
		if _, waits := p.outbox[m.Op]; waits {
			p.outbox[m.Op] = false
		}
	default:
		p.w.h.Refused(p.name, m.Op)
		p.settle(m.Op)
	}
}

func (p *person) show(v counter.Value) {
	if p.joining {
		p.joining = false
		if state, ok := p.w.store.health(); !ok || state != p.health {
			p.w.h.Joined(p.name, counter.Value{}) // it was shown what is known
		}
	}
	if p.any && p.shown.Newer(v) {
		p.stale++
		if p.w.design.guard {
			return
		}
	}
	p.shown, p.any = v, true
	p.w.h.Shown(p.name, v)
}

func (p *person) settle(op string) {
	delete(p.outbox, op)
	p.order = slices.DeleteFunc(p.order, func(o string) bool { return o == op })
}
