package statetest

import (
	"context"
	"fmt"
	"math"
	"sync"

	"lockstep/state"
)

// produceCases say what a log is for: entries that ops append, as batchers commit them.
func produceCases() []testCase {
	return []testCase{
		{name: "ops of several replicas append each entry once, in the order of each client", run: appended},
		{name: "a producer that is killed again and again loses no entry, and doubles none", run: produced},
		{name: "a producer loses no entry in crashes of the server, and doubles none", run: producedInCrashes, lacks: lacksCrash},
	}
}

// said is the kind of a log of texts.
func said() state.Kind[state.Log[string]] {
	type log = state.Log[string]
	return state.Kind[log]{Name: "said", Actions: map[string]state.Action[log]{
		"say": func(l log, in state.Fields, c state.Call) (log, error) { return l.Append(c.Op, in.Get("text")), nil },
	}}
}

func say(text string) state.Fields { return state.Fields{"text": {text}} }

// wantEntries wants that the log has what each writer has said, in its order, and that the state
// counts it.
func (e *env) wantEntries(topic string, writers, each int) {
	e.Helper()
	_, raw, err := e.store.Entries(e.ctx, topic, 0, math.MaxInt32)
	if err != nil {
		e.Fatal(err)
	}
	entries, err := state.ReadEntries[string](1, raw)
	if err != nil {
		e.Fatal(err)
	}
	next := make([]int, writers)
	for _, entry := range entries {
		var w, n int
		if _, err := fmt.Sscanf(entry.M, "%d %d", &w, &n); err != nil || w >= writers || n != next[w] {
			e.Fatalf("entry %d is %q, %v, after %v of each writer", entry.N, entry.M, err, next)
		}
		next[w]++
	}
	if len(entries) != writers*each {
		e.Fatalf("got %d entries, want %d", len(entries), writers*each)
	}
	if l, err := said().Read(e.readAt(e.store, topic)[0].Data); err != nil || l.N != uint64(len(entries)) {
		e.Fatalf("the state says %d entries, %v, and there are %d", l.N, err, len(entries))
	}
}

func appended(e *env) {
	const writers, each = 6, 25
	topic := said().Topic(e.topic)
	var batchers []*state.Batcher
	for _, s := range e.handles() {
		batchers = append(batchers, state.NewBatcher(s, nil, said()))
	}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			client := freshClient()
			for n := range each {
				op := state.Op{Client: client, Seq: uint64(n) + 1, From: uint64(n) + 1, Do: "say", In: say(fmt.Sprint(w, " ", n))}
				for {
					a, err := batchers[(w+n)%len(batchers)].Apply(e.ctx, nil, topic, op)
					if err == nil && a.Verdict == state.Ack {
						break
					}
					if err != nil || a.Verdict != state.Retry {
						e.Errorf("got %v %s, %v", a.Verdict, a.Reason, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	for _, b := range batchers {
		if err := b.Close(e.ctx); err != nil {
			e.Error(err)
		}
	}
	e.wantEntries(topic, writers, each)
}

func produced(e *env) {
	const each, runs = 120, 5
	topic, client, next := said().Topic(e.topic), freshClient(), 0
	for run := 1; next < each; run++ {
		p, end := e.producer(topic, client)
		n, err := p.Resume(e.ctx)
		if err != nil {
			e.Fatal(err)
		}
		next = int(n)
		var last sync.WaitGroup
		for ; next < min(each, run*each/runs); next++ {
			last.Add(1)
			if err := p.Send(e.ctx, "say", say(fmt.Sprint(0, " ", next)), func(state.Answer) { last.Done() }); err != nil {
				e.Fatal(err)
			}
		}
		if next == each {
			last.Wait()
		}
		end()
	}
	e.wantEntries(topic, 1, each)
}

// producer returns a producer over a batcher of its own, and what kills both.
func (e *env) producer(topic string, client state.Client) (p *state.Producer, kill func()) {
	b := state.NewBatcher(e.store, nil, said())
	p = state.NewProducer(b, e.store, topic, client, nil)
	return p, func() {
		over, cancel := context.WithCancel(e.ctx)
		cancel()
		_, _ = p.Close(over), b.Close(over) // they end with over
	}
}

func producedInCrashes(e *env) {
	topic := said().Topic(e.topic)
	p, end := e.producer(topic, freshClient())
	defer end()
	if _, err := p.Resume(e.ctx); err != nil {
		e.Fatal(err)
	}
	const each = 60
	for n := range each {
		if n%(each/crashes) == each/crashes/2 {
			e.opts.Crash(e)
		}
		if err := p.Send(e.ctx, "say", say(fmt.Sprint(0, " ", n)), nil); err != nil {
			e.Fatal(err)
		}
	}
	if err := p.Close(e.ctx); err != nil {
		e.Fatal(err)
	}
	e.wantEntries(topic, 1, each)
}
