package browser

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// A spoken is a socket that keeps what a tab says.
type spoken struct {
	plain
	messages []string
}

func (s *spoken) text(message []byte, _ *rand.Rand) error {
	s.messages = append(s.messages, string(message))
	return nil
}

func (s *spoken) close() {}

// oneTab is a tab that is connected, in a loop that nobody runs.
func oneTab(t *testing.T) (*loop, *tab, *spoken) {
	t.Helper()
	p := protocol.Lockstep{}
	f := &Fleet{config: Config{
		Targets: []*url.URL{{}}, Protocol: p, Of: 1, Loops: 1, Counters: 1,
		Plan: &workload.Plan{Stages: []workload.Stage{{Browsers: 1}}},
	}, traits: p.Traits(), tallies: []tally{newTally(protocol.Counter)}, start: time.Now()}
	l, err := f.newLoop(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.poll.close)
	tab, socket := &l.tabs[0], new(spoken)
	tab.showPage(l, opening{view: &protocol.View{Topic: "counter:a", Known: true, Live: true}})
	tab.conn, tab.clock = socket, 1
	return l, tab, socket
}

// idOf names a click of a tab.
func idOf(t *tab, seq uint64) protocol.ID { return protocol.ID{Client: t.client, Seq: seq} }

func TestATabThatHasNothingToDoSaysThatItNeedsNoAnswers(t *testing.T) {
	l, tab, socket := oneTab(t)
	fins := func(after time.Duration) (n int) {
		now := l.fleet.now() + int64(after)
		tab.receivedAt = now
		tab.watchdog(l, now)
		for _, m := range socket.messages {
			n += strings.Count(m, `"fin"`)
		}
		return n
	}
	if got := fins(htmx.FinPause + time.Second); got != 0 {
		t.Errorf("a tab that has not clicked said so %d times", got)
	}
	tab.click(l, l.fleet.now())
	tab.connectedAt = l.fleet.now() + int64(htmx.FinPause) // nor is the answer late
	if got := fins(htmx.FinPause + time.Second); got != 0 {
		t.Errorf("a tab that waits for an answer said so %d times", got)
	}
	tab.acknowledge(l, idOf(tab, 1), l.fleet.now())
	if got := fins(htmx.FinPause - time.Second); got != 0 {
		t.Errorf("a tab said so %d times too soon", got)
	}
	for range 2 { // once is enough
		if got := fins(htmx.FinPause + time.Second); got != 1 {
			t.Errorf("a tab said so %d times, want once", got)
		}
	}
}

func TestClicksOfATabLieInAWindow(t *testing.T) {
	l, tab, socket := oneTab(t)
	for range htmx.MaxOutbox + 10 {
		tab.click(l, l.fleet.now())
	}
	if n := len(socket.messages); n != htmx.MaxOutbox {
		t.Errorf("got %d clicks, want %d", n, htmx.MaxOutbox)
	}
	for seq := uint64(2); seq <= htmx.MaxOutbox; seq++ {
		tab.acknowledge(l, idOf(tab, seq), l.fleet.now())
	}
	tab.click(l, l.fleet.now())
	if n := len(socket.messages); n != htmx.MaxOutbox {
		t.Errorf("got %d clicks, want none beyond the oldest without an answer", n)
	}
	tab.acknowledge(l, idOf(tab, 1), l.fleet.now())
	tab.click(l, l.fleet.now())
	if last := socket.messages[len(socket.messages)-1]; !strings.Contains(last, `,201,201],`) {
		t.Errorf("got %s, want click 201, from which on answers are needed", last)
	}
}

func TestAnAnswerToAnotherTabIsNotTaken(t *testing.T) {
	l, tab, _ := oneTab(t)
	tab.click(l, l.fleet.now())
	tab.acknowledge(l, protocol.ID{Client: "another", Seq: 1}, l.fleet.now())
	tab.answer(l, &protocol.Message{Op: protocol.ID{Client: "another", Seq: 1}, Answer: protocol.Refused}, l.fleet.now())
	if len(tab.outbox) != 1 || l.seen.Counts.Acked+l.seen.Counts.Refused != 0 {
		t.Errorf("got %+v, want that the click waits", l.seen.Counts)
	}
}
