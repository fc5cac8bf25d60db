package natsstate_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/natsstate"
	"lockstep/state/statetest"
)

func BenchmarkStore(b *testing.B) {
	statetest.Benchmark(b, open(b, testserver.JetStream(b, "").URL, &natsstate.Options{Prefix: "bench:"}))
}

// BenchmarkCommit compares a commit as it is, a batch, with one that compares and sets a
// value in which all lanes of a topic are (docs/adr/0058-jetstream.md).
func BenchmarkCommit(b *testing.B) {
	b.Run("on one server", func(b *testing.B) { compare(b, testserver.JetStream(b, "").URL, 1) })
	b.Run("in a cluster", func(b *testing.B) {
		_, url := clusterOf(b, "bench:")
		compare(b, url, 3)
	})
}

func compare(b *testing.B, url string, replicas int) {
	s := open(b, url, &natsstate.Options{Prefix: "bench:"})
	nc := admin(b, url)
	api(b, nc, "STREAM.CREATE.values", fmt.Sprintf(`{"name":"values","subjects":["values.>"],"storage":"file","retention":"limits","max_msgs_per_subject":1,"num_replicas":%d}`, replicas), new(any))
	for _, lanes := range []int{1, 1000, 10_000, 30_000} {
		b.Run(fmt.Sprint("one value with lanes=", lanes), func(b *testing.B) { compareAndSet(b, nc, make([]byte, 30*lanes)) })
	}
	for _, lanes := range []int{1, 1000, 30_000} {
		topic := fmt.Sprint("lanes", lanes)
		for left := lanes; left > 0; left -= state.MaxMoves {
			change := state.Step{Topic: topic, Base: get(b, s, topic)}
			for range min(left, state.MaxMoves) {
				change.Moves = append(change.Moves, first(client()))
			}
			if o := s.Commit(b.Context(), change)[0]; o.Err != nil {
				b.Fatal(o.Err)
			}
		}
		b.Run(fmt.Sprint("a batch with lanes=", lanes), func(b *testing.B) { commits(b, s, topic) })
	}
	for _, topics := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("batches with topics=", topics), func(b *testing.B) {
			steps := make([]state.Step, topics)
			for i := range steps {
				topic := fmt.Sprint("of", i)
				steps[i] = state.Step{Topic: topic, Base: get(b, s, topic), Data: []byte("1")}
			}
			for b.Loop() {
				for i := range steps {
					steps[i].Moves = []state.Move{first(client())}
				}
				for i, o := range s.Commit(b.Context(), steps...) {
					if o.Err != nil {
						b.Fatal(o.Err)
					}
					steps[i].Base = o.Record
				}
			}
		})
	}
}

func commits(b *testing.B, s state.Store, topic string) {
	r := get(b, s, topic)
	for b.Loop() {
		o := s.Commit(b.Context(), step(topic, r, 1))[0]
		if o.Err != nil {
			b.Fatal(o.Err)
		}
		r = o.Record
	}
}

// compareAndSet puts a value in the place of the one before.
func compareAndSet(b *testing.B, nc *nats.Conn, value []byte) {
	last := "0"
	subject := "values." + strconv.FormatInt(time.Now().UnixNano(), 10)
	for b.Loop() {
		m := nats.NewMsg(subject)
		m.Header.Set("Nats-Expected-Last-Subject-Sequence", last)
		m.Data = value
		reply, err := nc.RequestMsg(m, time.Minute)
		if err != nil {
			b.Fatal(err)
		}
		var ack struct{ Seq uint64 }
		unmarshal(b, reply.Data, &ack)
		last = strconv.FormatUint(ack.Seq, 10)
	}
}
