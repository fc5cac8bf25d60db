package soft

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"lockstep/pubsub"
)

// eagerness is the shortest time between two answers to what others ask: whoever floods
// the broker costs no more.
const eagerness = 300 * time.Millisecond

// handleOf names a subscription to the hub: no other has that name.
func handleOf(topic string, serial uint64) string {
	return "soft:" + strconv.FormatUint(serial, 10) + ":" + topic
}

// report calls Changed until Stop.
func (s *Soft[V]) report() {
	for s.awaits(s.show, nil) {
		for _, name := range s.takeFresh() {
			s.changed(name)
		}
		if !s.awaits(nil, time.After(s.opts.Interval)) {
			return
		}
	}
}

// awaits waits for either. It reports false when the end has come.
func (s *Soft[V]) awaits(kick <-chan struct{}, timer <-chan time.Time) bool {
	select {
	case <-s.stop:
		return false
	default:
	}
	select {
	case <-s.stop:
		return false
	case <-kick:
		return true
	case <-timer:
		return true
	}
}

func (s *Soft[V]) takeFresh() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.fresh {
		if len(t.show) > 0 || t.pulled.IsZero() { // Next may have returned it already
			names = append(names, t.name)
		}
	}
	clear(s.fresh)
	return names
}

func (s *Soft[V]) changed(topic string) {
	defer s.guard.Caught("Changed", nil)
	s.opts.Changed(topic)
}

// broadcast makes all calls of the hub until Stop, one after the other for each topic: while the
// broker is slow, what waits is conflated.
func (s *Soft[V]) broadcast() {
	// The hub bounds each call.
	ctx := context.Background()
	const often = 10 // times in a TTL
	every, swept := time.NewTicker(max(s.opts.TTL/often, s.opts.Interval)), time.Now()
	defer every.Stop()
	for s.awaits(s.tell, every.C) {
		if now := time.Now(); now.Sub(swept) >= s.opts.TTL/often {
			swept = now
			s.sweep(now)
		}
		s.attendAll(ctx, s.takeLoud())
		if !s.awaits(nil, time.After(s.opts.Interval)) {
			break
		}
	}
	s.leave(ctx)
}

// maxCalls is how many topics the hub is asked for at a time: one broker is far away, and somebody
// may open very many topics, which others must not wait for one by one.
const maxCalls = 16

// attendAll attends to topics, some at a time, and returns when it has to all.
func (s *Soft[V]) attendAll(ctx context.Context, all []*topic[V]) {
	var calls sync.WaitGroup
	room := make(chan struct{}, maxCalls)
	for _, t := range all {
		room <- struct{}{}
		calls.Go(func() { // ends with the hub's calls, which it bounds
			s.attend(ctx, t)
			<-room
		})
	}
	calls.Wait()
}

func (s *Soft[V]) takeLoud() (all []*topic[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.loud {
		all = append(all, t)
	}
	clear(s.loud)
	return all
}

// attend does for a topic what the hub is needed for.
func (s *Soft[V]) attend(ctx context.Context, t *topic[V]) {
	switch {
	case s.forgotten(t):
		if err := s.unsubscribe(ctx, t); err != nil && !errors.Is(err, pubsub.ErrNotConnected) {
			s.opts.Logger.Debug("unsubscribe", "topic", t.name, "err", err)
		}
		return
	case !s.listens(t):
		s.listen(ctx, t)
	}
	if b := s.batch(t, time.Now()); b != nil {
		s.send(ctx, t, b)
	}
}

// forgotten removes a topic that nobody has watched for long, and reports whether it has.
func (s *Soft[V]) forgotten(t *topic[V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.watchers > 0 || time.Since(t.deserted) < s.opts.TTL {
		return false
	}
	if s.topics[t.name] == t {
		delete(s.topics, t.name)
	}
	return true
}

func (s *Soft[V]) listens(t *topic[V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.listening
}

// listen subscribes a topic, and has the others asked, who may have missed what was told
// before. What fails is tried again by sweep.
func (s *Soft[V]) listen(ctx context.Context, t *topic[V]) {
	err := s.subscribe(ctx, t)
	if err != nil {
		s.opts.Logger.Debug("subscribe", "topic", t.name, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.listening = err == nil; t.listening {
		t.ask, t.answer = true, true
	}
}

func (s *Soft[V]) subscribe(ctx context.Context, t *topic[V]) error {
	err := errors.New("the hub panicked") // unless it returns
	func() {
		defer s.guard.Caught("Hub.SubscribeTopic", nil)
		err = s.hub.SubscribeTopic(ctx, t.handle, t.name, func(_ context.Context, m pubsub.Message) error { return s.receive(t, m) })
	}()
	return err
}

func (s *Soft[V]) unsubscribe(ctx context.Context, t *topic[V]) error {
	defer s.guard.Caught("Hub.UnsubscribeAll", nil)
	return s.hub.UnsubscribeAll(ctx, t.handle)
}

// batch takes what a topic has for the broker, as much as fits into one broadcast; nil:
// nothing.
func (s *Soft[V]) batch(t *topic[V], now time.Time) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.answer && now.Sub(t.answered) >= eagerness {
		t.answer, t.answered = false, now
		for _, e := range t.values {
			if e.from == "" && !e.gone {
				s.queueTell(t, e)
			}
		}
	}
	b := &batch{Replica: s.replica, Ask: t.ask}
	t.ask = false
	for size := len(s.replica) + 64; len(t.tell) > 0; {
		e := t.tell[0]
		one := said{e.owner, max(now.Sub(e.set), 0), e.raw}
		if size += one.size(); size > maxBatch {
			break
		}
		pop(&t.tell)
		e.telling, e.told = false, now
		switch {
		case e.from != "": // another replica has taken it over
		case e.gone:
			b.Gone = append(b.Gone, e.owner)
		default:
			b.Is = append(b.Is, one)
		}
	}
	if len(t.tell) > 0 || t.answer {
		s.wakeTell(t)
	}
	if len(b.Is)+len(b.Gone) == 0 && !b.Ask {
		return nil
	}
	return b
}

// send broadcasts a batch. What is lost is told again by sweep.
func (s *Soft[V]) send(ctx context.Context, t *topic[V], b *batch) {
	defer s.guard.Caught("Hub.Broadcast", nil)
	b.Number = s.number.Add(1)
	payload, err := json.Marshal(b)
	if err == nil {
		err = s.hub.Broadcast(ctx, t.name, payload)
	}
	if err != nil {
		s.opts.Logger.Debug("soft values not told", "topic", t.name, "err", err)
		return
	}
	s.stats.broadcasts.Add(1)
	s.stats.told.Add(uint64(len(b.Is) + len(b.Gone)))
}

// leave tells the others that the values of this replica are gone.
func (s *Soft[V]) leave(ctx context.Context) {
	s.mu.Lock()
	var all []*topic[V]
	for _, t := range s.topics {
		t.ask, t.answer = false, false
		for _, e := range t.values {
			if e.from == "" && !e.gone {
				s.remove(t, e)
				s.queueTell(t, e)
			}
		}
		if t.listening {
			all = append(all, t)
		}
	}
	s.mu.Unlock()
	for _, t := range all {
		for b := s.batch(t, time.Now()); b != nil; b = s.batch(t, time.Now()) {
			s.send(ctx, t, b)
		}
		if err := s.unsubscribe(ctx, t); err != nil {
			s.opts.Logger.Debug("unsubscribe", "topic", t.name, "err", err)
		}
	}
}

// receive handles what a replica has broadcast on a topic.
func (s *Soft[V]) receive(t *topic[V], m pubsub.Message) error {
	if m.Gap { // a question may have been missed, too
		s.mu.Lock()
		defer s.mu.Unlock()
		t.ask, t.answer = true, true
		s.wakeTell(t)
		return nil
	}
	if !m.Trusted && !s.opts.Unsigned {
		s.strange.Do(func() {
			s.opts.Logger.Warn("soft values of other replicas are not shown: what is broadcast on this broker is not signed")
		})
		return nil
	}
	var b batch
	if err := json.Unmarshal(m.Payload, &b); err != nil || !b.valid(s.opts.MaxValue) {
		return errBroadcast
	}
	if b.Replica == s.replica {
		return nil
	}
	values := make([]V, len(b.Is))
	for i, one := range b.Is {
		if json.Unmarshal(one.raw, &values[i]) != nil || !s.opts.Valid(values[i]) {
			return errBroadcast
		}
	}
	s.hear(t, b, values, time.Now())
	return nil
}

// hear takes what a replica has said.
func (s *Soft[V]) hear(t *topic[V], b batch, values []V, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.news(b.Replica, b.Number, now) {
		return
	}
	if b.Ask {
		t.answer = true
		s.wakeTell(t)
	}
	for i, one := range b.Is {
		s.take(t, b.Replica, one, values[i], now)
	}
	for _, owner := range b.Gone {
		if e := t.values[owner]; e != nil && e.from == b.Replica && !e.gone {
			s.remove(t, e)
		}
	}
}

// take takes one value of another replica, if it is news. The caller holds mu.
func (s *Soft[V]) take(t *topic[V], replica string, one said, v V, now time.Time) {
	set, e := now.Add(-one.age), t.values[one.owner]
	switch {
	case one.age >= s.opts.TTL:
		return
	case e == nil:
		if len(t.values) >= s.opts.MaxOwners {
			return
		}
		e = &value[V]{owner: one.owner}
		t.values[one.owner] = e
	case e.from != replica && !set.After(e.set): // its owner has come here, or elsewhere, since
		return
	}
	t.count(e, nil)
	same := !e.gone && string(e.raw) == string(one.raw)
	e.v, e.raw, e.from, e.set, e.gone = v, one.raw, replica, set, false
	if !same {
		s.queueShow(t, e)
	}
}
