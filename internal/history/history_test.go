package history_test

import (
	"fmt"
	"slices"
	"testing"

	"lockstep/internal/history"
)

// base is where each history begins.
var base = history.State{Epoch: 1, Version: 5, Value: "10"}

// at returns the state after n increments.
func at(n int) history.State { return state(1, base.Version+uint64(n), 10+int64(n)) }

func state(epoch, version uint64, n int64) history.State {
	return history.State{Epoch: epoch, Version: version, Value: history.CounterValue(n)}
}

// id is that of the ith op: each has a client of its own.
func id(i int) history.ID { return history.ID{Client: fmt.Sprintf("op-%d", i), Seq: 1} }

func increment(i int) history.Op { return history.Op{ID: id(i), Do: "increment"} }

// good is a history without a breach: two tabs, three clicks, one of them
// sent twice, a reconnect.
func good(h *history.History) {
	h.Joined("a", at(0))
	h.Shown("a", at(0))
	h.Joined("b", at(0))
	h.Shown("b", at(0))
	h.Sent("a", increment(1))
	h.Sent("b", increment(2))
	h.Sent("b", increment(2))
	h.Shown("b", at(1)) // b's
	h.Acked("b", id(2))
	h.Acked("b", id(2))
	h.Shown("a", at(2))
	h.Acked("a", id(1))
	h.Sent("a", increment(3))
	h.Joined("b", at(2))
	h.Shown("b", at(3))
	h.Shown("a", at(3))
	h.Acked("a", id(3))
}

func TestCheck(t *testing.T) {
	both := []string{"a", "b"}
	for _, c := range []struct {
		name      string
		lossy     bool
		more      func(h *history.History) // after good
		final     history.State
		connected []string
		want      []history.Rule
	}{
		{name: "a history without a breach", final: at(3), connected: both},
		{
			name: "an acknowledged op is not in the store", final: at(3), connected: nil,
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Shown("a", at(4)); h.Acked("a", id(4)) },
			want: []history.Rule{history.ExactlyOnce, history.Phantom},
		},
		{
			name: "an op is counted twice", final: at(4), connected: nil,
			want: []history.Rule{history.ExactlyOnce},
		},
		{
			name: "an op is counted twice under one version", final: state(1, at(3).Version, 14),
			want: []history.Rule{history.ExactlyOnce, history.Phantom},
		},
		{
			name: "an acknowledgement of what nobody sent", final: at(3),
			more: func(h *history.History) { h.Acked("a", id(9)) },
			want: []history.Rule{history.ExactlyOnce},
		},
		{
			name: "an unacknowledged op may be counted", final: at(4),
			more: func(h *history.History) { h.Sent("a", increment(4)) },
		},
		{
			name: "and may not be", final: at(3),
			more: func(h *history.History) { h.Sent("a", increment(4)) },
		},
		{
			name: "but its tab must be told", final: at(3), connected: both,
			more: func(h *history.History) { h.Sent("a", increment(4)) },
			want: []history.Rule{history.Answered},
		},
		{
			name: "that it is refused, for instance", final: at(3), connected: both,
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Refused("a", id(4), "it is at its limit") },
		},
		{
			name: "that nobody knows, for instance", final: at(4), connected: []string{"a"},
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Forgotten("a", id(4)); h.Shown("a", at(4)) },
		},
		{
			name: "a refused op is counted", final: at(4),
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Refused("a", id(4), "no") },
			want: []history.Rule{history.ExactlyOnce},
		},
		{
			name: "an op that was refused later is shown", final: at(4),
			more: func(h *history.History) {
				h.Sent("a", increment(4))
				h.Shown("a", at(4))
				h.Refused("a", id(4), "no")
			},
			want: []history.Rule{history.ExactlyOnce, history.Phantom},
		},
		{
			name: "a refusal without a reason", final: at(3),
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Refused("a", id(4), "") },
			want: []history.Rule{history.Reasoned},
		},
		{
			name: "two answers to one op", final: at(4),
			more: func(h *history.History) {
				h.Sent("a", increment(4))
				h.Refused("a", id(4), "no")
				h.Shown("a", at(4))
				h.Acked("a", id(4))
			},
			want: []history.Rule{history.OneAnswer, history.Phantom},
		},
		{
			name: "more is shown than was clicked by then", final: at(4),
			more: func(h *history.History) { h.Shown("a", at(4)); h.Sent("a", increment(4)) },
			want: []history.Rule{history.Phantom},
		},
		{
			name: "a tab goes back", final: at(3), connected: both,
			more: func(h *history.History) { h.Shown("a", at(2)); h.Shown("a", at(3)) },
			want: []history.Rule{history.Monotonic},
		},
		{
			name: "an older epoch with a larger version is going back", final: at(3), lossy: true,
			more: func(h *history.History) {
				h.Shown("a", state(0, 99, 99))
			},
			want: []history.Rule{history.Monotonic},
		},
		{
			name: "a newer epoch with a smaller version is not", lossy: true,
			final: state(2, 1, 1), connected: []string{"a"},
			more: func(h *history.History) { h.Shown("a", state(2, 1, 1)) },
		},
		{
			name: "a value that never was", final: at(3), connected: []string{"a"},
			more: func(h *history.History) { h.Shown("b", state(1, at(3).Version, 77)) },
			want: []history.Rule{history.Phantom, history.Phantom},
		},
		{
			name: "two values under one version, in a store that may lose data", final: at(3), connected: []string{"a"}, lossy: true,
			more: func(h *history.History) { h.Shown("b", state(1, at(3).Version, 77)) },
			want: []history.Rule{history.Phantom, history.Phantom},
		},
		{
			name: "a state that the store does not have", final: at(3), connected: []string{"a"},
			more: func(h *history.History) { h.Sent("b", increment(4)); h.Shown("b", at(4)) },
			want: []history.Rule{history.Phantom},
		},
		{
			name: "an acknowledgement before the state that has the op", final: at(4), connected: both,
			more: func(h *history.History) {
				h.Sent("a", increment(4))
				h.Acked("a", id(4))
				h.Shown("a", at(4))
				h.Shown("b", at(4))
			},
			want: []history.Rule{history.OwnWrite},
		},
		{
			name: "the first state after a connect is older than the store's before", final: at(3), connected: []string{"a"},
			more: func(h *history.History) { h.Joined("late", at(3)); h.Shown("late", at(2)) },
			want: []history.Rule{history.LateJoin},
		},
		{
			name: "a tab stays behind", final: at(3), connected: append(both, "c"),
			more: func(h *history.History) { h.Joined("c", at(2)); h.Shown("c", at(2)) },
			want: []history.Rule{history.Convergence},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := history.New(history.Options{Base: base, Lossy: c.lossy})
			good(h)
			if c.more != nil {
				c.more(h)
			}
			found := h.Check(c.final, c.connected...)
			var rules []history.Rule
			for _, v := range found {
				rules = append(rules, v.Rule)
			}
			slices.Sort(rules)
			slices.Sort(c.want)
			if !slices.Equal(rules, c.want) {
				t.Errorf("got %v, want %v", found, c.want)
			}
		})
	}
}

func TestAcknowledgedCountsEachOpOnce(t *testing.T) {
	h := history.New(history.Options{Base: base})
	good(h)
	if got := h.Acknowledged(); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}
