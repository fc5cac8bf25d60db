package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/htmx"
	"lockstep/internal/history"
	"lockstep/live"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
	"lockstep/state"
	"lockstep/state/memstate"
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

// Rules that only this model knows.
const (
	// settledUnheard: an op is settled of which its client, which is the only one
	// that sends it, has heard no answer.
	settledUnheard history.Rule = "settled, and its answer was not heard"
	// oldTooSoon: nobody knows of an op that is some seconds old.
	oldTooSoon history.Rule = "old, and made a moment ago"
	// fits: a change is one of what its tab shows.
	fits history.Rule = "fits"
)

// A cluster is three replicas, a broker and a store that can fail, and people.
type cluster struct {
	t      *testing.T
	design design
	kind   modelKind
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

func newCluster(t *testing.T, seed uint64, k modelKind, d design, weather weather) *cluster {
	faults := weather.broker
	faults.Seed = seed
	w := &cluster{
		t: t, design: d, kind: k, weather: weather, base: faults,
		broker: pubsubtest.Faulty(mempubsub.NewBus(), faults),
		store:  &faultyStore{inner: memstate.New(nil), rnd: rand.New(rand.NewPCG(seed, 2)), design: d, kind: k},
		wire:   &live.Wire{Encode: func(m []byte) []byte { return append(slices.Clone(m), '\n') }},
		h:      history.New(history.Options{Kind: k.rule, Base: history.State{Value: k.value(nil)}, Lossy: weather.lossy}), began: time.Now(),
	}
	for range clusterReplicas {
		w.replicas = append(w.replicas, w.startReplica())
	}
	for i := range clusterPersons {
		p := &person{
			w: w, tab: wholes{k}, name: strconv.Itoa(i), user: strconv.Itoa(i % (clusterPersons - 1)), client: state.Client{byte(i + 1)}.String(),
			itself: i%4 == 3 && !k.lean, rnd: rand.New(rand.NewPCG(seed, uint64(100+i))),
		}
		if k.tab != nil {
			p.tab = k.tab(func(detail string) {
				p.found = append(p.found, history.Violation{Rule: fits, Tab: p.name, Detail: detail})
			})
		}
		w.people = append(w.people, p)
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
		clicks.Go(func() { p.clickNowAndThen(clicking, w.base.Seed) })
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
		out.found = append(out.found, p.found...)
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
	kind   modelKind

	mu       sync.Mutex // guards the rest
	inner    *memstate.Store
	rnd      *rand.Rand
	fails    float64 // of calls: nothing is done
	silent   float64 // of calls: it is done, but the answer is lost
	slow     time.Duration
	sick     int // grows with each change: joins meanwhile may be shown what is known
	serial   uint64
	old      []state.Record // of the first Read
	repeated int            // moves of what had been dealt with before
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
	s.inner = memstate.New(nil)
	s.sick++
}

// truth is the state that the store has, whatever answers it gives.
func (s *faultyStore) truth() history.State {
	s.mu.Lock()
	inner := s.inner
	s.mu.Unlock()
	records, err := inner.Read(context.Background(), s.kind.topic)
	if err != nil {
		return history.State{}
	}
	truth := s.kind.state(s.pinned(records[0]))
	if s.kind.full != nil {
		truth.Value = s.kind.full(inner, records[0])
	}
	return truth
}

// health is how the store is: state changes whenever that does; it is well if ok.
func (s *faultyStore) health() (state int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sick, s.fails == 0 && s.silent == 0
}

// pinnedEpoch is that of a store which discloses no loss.
const pinnedEpoch = 1

func (s *faultyStore) pinned(r state.Record) state.Record {
	if !s.design.epochs {
		r.Epoch = pinnedEpoch
	}
	return r
}

// unpinned is the base of a step as the store wants it: without epochs only
// versions are compared.
func (s *faultyStore) unpinned(inner *memstate.Store, base state.Record) state.Record {
	if s.design.epochs || base.Epoch != pinnedEpoch {
		return base
	}
	if records, err := inner.Read(context.Background(), s.kind.topic); err == nil {
		base.Epoch = records[0].Epoch
	}
	return base
}

var errAway = errors.New("the store is away")

// reach is the way to the store; silent means that the answer will be lost.
func (s *faultyStore) reach(ctx context.Context) (inner *memstate.Store, silent bool, err error) {
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

// Commit implements state.Store.
func (s *faultyStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	inner, silent, err := s.reach(ctx)
	if err != nil {
		return state.Failed(len(steps), err)
	}
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].Base = s.unpinned(inner, steps[i].Base)
		if !s.design.dedup {
			steps[i].Moves = s.renamed(steps[i].Moves)
		}
	}
	outcomes := inner.Commit(ctx, steps...)
	for i := range outcomes {
		outcomes[i].Record = s.pinned(outcomes[i].Record)
		s.count(steps[i], outcomes[i])
	}
	if silent {
		return state.Failed(len(steps), errAway)
	}
	return outcomes
}

// count counts the moves of ops that had been dealt with before.
func (s *faultyStore) count(step state.Step, o state.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, lane := range o.Lanes {
		if m := step.Moves[i]; m.Min <= m.Max && lane.Last > m.Max {
			s.repeated++
		}
	}
}

// renamed makes moves of clients that nobody has seen.
func (s *faultyStore) renamed(moves []state.Move) []state.Move {
	s.mu.Lock()
	defer s.mu.Unlock()
	moves = slices.Clone(moves)
	for i := range moves {
		s.serial++
		moves[i].Client = state.Client([]byte(fmt.Sprintf("%016d", s.serial)))
	}
	return moves
}

// Read implements state.Store.
func (s *faultyStore) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	inner, silent, err := s.reach(ctx)
	if err != nil || silent {
		return nil, errAway
	}
	records, err := inner.Read(ctx, topics...)
	for i := range records {
		records[i] = s.pinned(records[i])
	}
	if s.design.readOnJoin || err != nil {
		return records, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.old == nil {
		s.old = records
	}
	return slices.Clone(s.old), nil
}

// Entries implements state.Store.
func (s *faultyStore) Entries(ctx context.Context, topic string, after uint64, limit int) (uint64, [][]byte, error) {
	inner, silent, err := s.reach(ctx)
	if err != nil || silent {
		return 0, nil, errAway
	}
	return inner.Entries(ctx, topic, after, limit)
}

// Finish implements state.Store.
func (s *faultyStore) Finish(ctx context.Context, marks ...state.Mark) error {
	inner, silent, err := s.reach(ctx)
	if err != nil || silent {
		return errAway
	}
	return inner.Finish(ctx, marks...)
}

// Close implements state.Store.
func (s *faultyStore) Close() error { return nil }

// A person has a tab, which connects to whichever replica takes it: one page load
// with an outbox in memory.
type person struct {
	w            *cluster
	tab          modelTab
	name         string // of the tab
	user, client string
	itself       bool       // it is sent states
	rnd          *rand.Rand // owned by live

	mu      sync.Mutex // guards the rest
	line    *line      // nil: not connected
	shown   history.State
	any     bool
	clock   int64      // of the replicas, as heard last
	seq     uint64     // the newest
	outbox  []*waiting // without an answer, the oldest first
	resent  int
	stale   int
	joining bool // nothing has been shown since the connect
	lacks   bool // it was sent a change of what it does not show: it says hello again
	health  int  // of the store, at the connect
	found   []history.Violation
}

// A waiting is an op of a person without an answer.
type waiting struct {
	history.Op
	sent  bool // on this connection, and not put off since
	again bool // it was sent before
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
	p.connect(l)
	defer p.connect(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	view, err := a.View(app.Visitor{User: p.user}, p.w.kind.topic)
	if err != nil {
		p.w.t.Error(err)
		return
	}
	s, err := a.Runtime().Connect(ctx, l, view)
	if err != nil {
		return
	}
	defer s.Disconnect(live.ReasonLost)
	s.Receive(ctx, []byte(p.hello()))
	again := time.NewTicker(htmx.RetryMin)
	defer again.Stop()
	for {
		if p.lost() {
			s.Receive(ctx, []byte(p.hello()))
		}
		for _, message := range p.toSend() {
			if !s.Receive(ctx, []byte(message)) {
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

// connect begins a connection, or ends it.
func (p *person) connect(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line = l; l == nil {
		return
	}
	var ok bool
	if p.health, ok = p.w.store.health(); ok {
		p.w.h.Joined(p.name, p.w.store.truth())
	}
	p.joining = true
	if !p.w.design.outbox {
		p.outbox = nil
	}
	for _, op := range p.outbox {
		op.sent = false
	}
}

func (p *person) hello() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	as := ""
	if p.itself {
		as = htmx.AsData
	}
	return fmt.Sprintf(`{"hello":2,"client":%q,"at":{%q:[%d,%d]},"as":%q}`, p.client, p.w.kind.topic, p.shown.Epoch, p.shown.Version, as)
}

// lost reports whether the tab was sent what it can't use, since it was asked last.
func (p *person) lost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	lacks := p.lacks
	p.lacks = false
	return lacks
}

// toSend returns what has not been sent on this connection, or was put off, in the
// order of the clicks.
func (p *person) toSend() (messages []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock == 0 {
		return nil // none was heard yet
	}
	for _, op := range p.outbox {
		if op.sent {
			continue
		}
		if op.again {
			p.resent++
		}
		op.sent, op.again = true, true
		from := p.outbox[0].Seq
		if !p.w.design.from {
			from = op.Seq
		}
		in, err := json.Marshal(op.In)
		if err != nil {
			p.w.t.Error(err)
		}
		messages = append(messages, fmt.Sprintf(`{"op":[%q,%d,%d],"seen":%d,"t":%q,"do":%q,"in":%s}`,
			p.client, op.Seq, from, p.clock, p.w.kind.topic, op.Do, in))
	}
	return messages
}

func (p *person) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil {
		p.line.hangUp()
	}
}

// clickNowAndThen clicks until ctx ends. The tab sends within a second.
func (p *person) clickNowAndThen(ctx context.Context, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, uint64(p.seed())))
	for {
		select {
		case <-time.After(upTo(rnd, 500*time.Millisecond)):
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		do, in := p.w.kind.act(rnd, p.shown.Value)
		p.seq++
		op := history.Op{ID: history.ID{Client: p.client, Seq: p.seq}, User: p.user, Do: do, In: in}
		p.w.h.Sent(p.name, op)
		p.outbox = append(p.outbox, &waiting{Op: op})
		p.mu.Unlock()
	}
}

func (p *person) seed() int { n, _ := strconv.Atoi(p.name); return 700 + n }

// An answer is a message as this tab reads it.
type answer struct {
	T, Content, Error, Refused string
	State                      *string
	Ack                        [][]any
	Op                         []any
	Retry, Settled, Old        bool
	Clock                      int64
}

// receive is what live.js does with a message.
func (p *person) receive(l *line, raw []byte) {
	var m answer
	if err := json.Unmarshal(raw, &m); err != nil {
		p.w.t.Errorf("%q: %v", raw, err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != l {
		return // of a connection that this tab has left
	}
	p.clock = max(p.clock, m.Clock)
	if m.T == p.w.kind.topic {
		s, ok, misfit := p.tab.take(m, raw, p.shown, p.any)
		if ok {
			p.show(s)
		}
		p.lacks = p.lacks || misfit
	}
	for _, name := range m.Ack {
		id := idOf(name)
		p.w.h.Acked(p.name, id)
		p.settle(id)
	}
	if m.Op != nil {
		p.answered(m, idOf(m.Op))
	}
}

func idOf(name []any) (id history.ID) {
	if len(name) == 2 {
		id.Client, _ = name[0].(string)
		seq, _ := name[1].(float64)
		id.Seq = uint64(seq)
	}
	return id
}

// answered takes in an answer that is no acknowledgement.
func (p *person) answered(m answer, id history.ID) {
	rule := map[bool]history.Rule{m.Settled: settledUnheard, m.Old: oldTooSoon}[true]
	switch {
	case m.Retry:
		for _, op := range p.outbox {
			if op.ID == id {
				op.sent = false
			}
		}
		return
	case rule != "":
		p.found = append(p.found, history.Violation{Rule: rule, Tab: p.name, Detail: id.String()})
		p.w.h.Forgotten(p.name, id)
	default:
		p.w.h.Refused(p.name, id, m.Refused)
	}
	p.settle(id)
}

func (p *person) show(s history.State) {
	if p.joining {
		p.joining = false
		if state, ok := p.w.store.health(); !ok || state != p.health {
			p.w.h.Joined(p.name, history.State{}) // it was shown what is known
		}
	}
	if p.any && p.shown.Newer(s) {
		p.stale++
		if p.w.design.guard {
			return
		}
	}
	p.shown, p.any = s, true
	p.w.h.Shown(p.name, s)
}

func (p *person) settle(id history.ID) {
	p.outbox = slices.DeleteFunc(p.outbox, func(op *waiting) bool { return op.ID == id })
}
