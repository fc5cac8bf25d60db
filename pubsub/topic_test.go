package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"

	"lockstep/pubsub"
	"lockstep/pubsub/pubsubtest"
)

// move is a value of a typed topic.
type move struct {
	Piece string   `json:"piece"`
	To    int      `json:"to"`
	Notes []string `json:"notes,omitempty"`
}

func TestTopic(t *testing.T) {
	moves := pubsub.NewTopic[move]("moves")
	t.Run("a value comes out as it went in", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			want := move{Piece: "♘ <&>\x00", To: -3, Notes: []string{"", "é"}}
			got := make(chan pubsub.Event[move], 1)
			must(t, moves.Subscribe(t.Context(), h, "s", func(_ context.Context, e pubsub.Event[move]) error {
				got <- e
				return nil
			}))
			must(t, moves.Broadcast(t.Context(), h, want))
			if e := <-got; e.Topic != "moves" || e.Gap || !reflect.DeepEqual(e.Value, want) {
				t.Errorf("got %+v, want %+v on moves", e, want)
			}
		})
	})
	t.Run("a gap carries no value", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			got := make(chan pubsub.Event[move], 1)
			must(t, moves.Subscribe(t.Context(), h, "s", func(_ context.Context, e pubsub.Event[move]) error {
				got <- e
				return nil
			}))
			r.Disconnect()
			if e, want := <-got, (pubsub.Event[move]{Topic: "moves", Gap: true}); !reflect.DeepEqual(e, want) {
				t.Errorf("got %+v, want %+v", e, want)
			}
		})
	})
	t.Run("what is not JSON of the type is counted, and the handler not called", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			got := make(chan move, 10)
			must(t, moves.Subscribe(t.Context(), h, "s", func(_ context.Context, e pubsub.Event[move]) error {
				got <- e.Value
				return nil
			}))
			bad := []string{"", "{", `{"to":"x"}`, "[]", "\xff", `{} {}`}
			for _, payload := range bad {
				must(t, h.Broadcast(t.Context(), moves.Name(), []byte(payload)))
			}
			want := move{To: 1}
			must(t, moves.Broadcast(t.Context(), h, want))
			if v := <-got; !reflect.DeepEqual(v, want) {
				t.Errorf("got %+v, want %+v", v, want)
			}
			if n := h.Stats().HandlerErrors; n != uint64(len(bad)) {
				t.Errorf("got %d errors of handlers, want %d", n, len(bad))
			}
		})
	})
	t.Run("a value that has no JSON is not sent", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			err := pubsub.NewTopic[float64]("f").Broadcast(t.Context(), h, math.NaN())
			var unsupported *json.UnsupportedValueError
			if !errors.As(err, &unsupported) {
				t.Errorf("got %v, want %T", err, unsupported)
			}
			if n := len(r.Publishes()); n != 0 {
				t.Errorf("got %d messages at the broker, want none", n)
			}
		})
	})
}

// captured is a Subscriber that keeps the handler.
type captured struct{ handler pubsub.Handler }

func (c *captured) SubscribeTopic(_ context.Context, _, _ string, handler pubsub.Handler) error {
	c.handler = handler
	return nil
}

// FuzzTopicDecode feeds a typed handler with foreign bytes: it is called with
// what encoding/json makes of them, or not at all.
func FuzzTopicDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"piece":"K","to":1,"notes":["x"]}`, `{"to":1e400}`, "null", "[", "\xff\x00", `{"notes":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var (
			c     captured
			calls []pubsub.Event[move]
		)
		must(t, pubsub.NewTopic[move]("moves").Subscribe(t.Context(), &c, "s", func(_ context.Context, e pubsub.Event[move]) error {
			calls = append(calls, e)
			return nil
		}))
		err := c.handler(t.Context(), pubsub.Message{Topic: "moves", Payload: payload})
		var want move
		if valid := json.Unmarshal(payload, &want) == nil; valid != (err == nil) || valid != (len(calls) == 1) {
			t.Fatalf("got %v and %d calls for %q", err, len(calls), payload)
		}
		if len(calls) == 1 && !reflect.DeepEqual(calls[0], pubsub.Event[move]{Topic: "moves", Value: want}) {
			t.Fatalf("got %+v, want %+v", calls[0], want)
		}
	})
}
