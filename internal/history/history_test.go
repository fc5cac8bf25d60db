package history_test

import (
	"fmt"
	"slices"
	"testing"

	"lockstep/counter"
	"lockstep/internal/history"
)

// base is where each history begins.
var base = counter.Value{N: 10, Epoch: 1, Version: 5}

// at returns the state after n increments.
func at(n int) counter.Value {
	return counter.Value{N: base.N + int64(n), Epoch: base.Epoch, Version: base.Version + uint64(n)}
}

func increment(i int) counter.Op {
	return counter.Op{ID: fmt.Sprintf("op-%d", i), Kind: counter.Increment}
}

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
	h.Acked("b", "op-2")
	h.Acked("b", "op-2")
	h.Shown("a", at(2))
	h.Acked("a", "op-1")
	h.Sent("a", increment(3))
	h.Joined("b", at(2))
	h.Shown("b", at(3))
	h.Shown("a", at(3))
	h.Acked("a", "op-3")
}

func TestCheck(t *testing.T) {
	both := []string{"a", "b"}
	for _, c := range []struct {
		name      string
		lossy     bool
		more      func(h *history.History) // after good
		final     counter.Value
		connected []string
		want      []history.Rule
	}{
		{name: "a history without a breach", final: at(3), connected: both},
		{
			name: "an acknowledged op is not in the store", final: at(3), connected: nil,
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Shown("a", at(4)); h.Acked("a", "op-4") },
			want: []history.Rule{history.ExactlyOnce, history.ExactlyOnce, history.Phantom},
		},
		{
			name: "an op is counted twice", final: at(4), connected: nil,
			want: []history.Rule{history.ExactlyOnce, history.ExactlyOnce},
		},
		{
			name: "an op is counted twice under one version", final: counter.Value{N: at(4).N, Epoch: 1, Version: at(3).Version},
			want: []history.Rule{history.ExactlyOnce, history.Phantom, history.Phantom},
		},
		{
			name: "an acknowledgement of what nobody sent", final: at(3),
			more: func(h *history.History) { h.Acked("a", "op-9") },
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
			more: func(h *history.History) { h.Sent("a", increment(4)); h.Refused("a", "op-4") },
		},
		{
			name: "a tab goes back", final: at(3), connected: both,
			more: func(h *history.History) { h.Shown("a", at(2)); h.Shown("a", at(3)) },
			want: []history.Rule{history.Monotonic},
		},
		{
			name: "an older epoch with a larger version is going back", final: at(3), lossy: true,
			more: func(h *history.History) {
				h.Shown("a", counter.Value{N: 99, Epoch: 0, Version: 99})
			},
			want: []history.Rule{history.Monotonic},
		},
		{
			name: "a newer epoch with a smaller version is not", lossy: true,
			final: counter.Value{N: 1, Epoch: 2, Version: 1}, connected: []string{"a"},
			more: func(h *history.History) { h.Shown("a", counter.Value{N: 1, Epoch: 2, Version: 1}) },
		},
		{
			name: "a value that never was", final: at(3), connected: []string{"a"},
			more: func(h *history.History) { h.Shown("b", counter.Value{N: 77, Epoch: 1, Version: at(3).Version}) },
			want: []history.Rule{history.Phantom, history.Phantom, history.Phantom},
		},
		{
			name: "two values under one version, in a store that may lose data", final: at(3), connected: []string{"a"}, lossy: true,
			more: func(h *history.History) { h.Shown("b", counter.Value{N: 77, Epoch: 1, Version: at(3).Version}) },
			want: []history.Rule{history.Phantom, history.Phantom},
		},
		{
			name: "a state that the store does not have", final: at(3), connected: []string{"a"},
			more: func(h *history.History) { h.Shown("b", at(4)) },
			want: []history.Rule{history.Phantom},
		},
		{
			name: "an acknowledgement before the state that has the op", final: at(4), connected: both,
			more: func(h *history.History) {
				h.Sent("a", increment(4))
				h.Acked("a", "op-4")
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
