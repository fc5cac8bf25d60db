package browser

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"lockstep/tools/loadgen/load/protocol"
)

// A tally is what the tabs of this process have clicked on one page, as far as it can be compared
// with what they are shown while they click. It may be used concurrently.
type tally interface {
	// made notes an op that was made, and not sent yet.
	made(op *protocol.Op, person string)
	// acked and refused note what became of it.
	acked(op *protocol.Op, person string)
	refused(op *protocol.Op, person string)
	// floor is what has been acknowledged when the op is sent.
	floor(op *protocol.Op, person string) floor
	// own says what is wrong with what a tab shows when its op is acknowledged: it must have the
	// op, and all that was acknowledged before the op was sent. "": nothing is. items are what it
	// shows if that are items.
	own(before protocol.State, c *click, shown protocol.State, items *protocol.Items) string
	// partial reports whether own holds even if other processes click on the page, too.
	partial() bool
	// excess is how much more a state has than was made by now, and of what.
	excess(before, shown protocol.State) (n int64, of string)
	// unsound says why there can't be such a state whatever was clicked. "": there can.
	unsound(before, shown protocol.State) string
}

// A floor is what a tally had: see its kind.
type floor [2]int64

func newTally(k protocol.Kind) tally {
	switch k {
	case protocol.Poll:
		return &voters{tried: make(map[string]bool), known: make(map[string]bool)}
	case protocol.Bank:
		return &transfers{out: make(map[string]int64), in: make(map[string]int64), knownOut: make(map[string]int64), knownIn: make(map[string]int64)}
	case protocol.List:
		return &chores{removed: make(map[string]bool), ticked: make(map[string]bool)}
	case protocol.Log:
		return &sayings{entries: make(map[uint64]protocol.Item), numbers: make(map[string]uint64)}
	}
	return new(additions)
}

// additions is the tally of a counter.
type additions struct {
	mu            sync.Mutex
	clicks, known int64 // made and not refused; acknowledged
}

func (a *additions) made(*protocol.Op, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clicks++
}

func (a *additions) acked(*protocol.Op, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known++
}

func (a *additions) refused(*protocol.Op, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clicks--
}

// floor is how many clicks were acknowledged.
func (a *additions) floor(*protocol.Op, string) floor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return floor{a.known}
}

func (a *additions) own(before protocol.State, c *click, shown protocol.State, _ *protocol.Items) string {
	if least := before.Count + c.floor[0] + 1; shown.Count < least {
		return fmt.Sprintf("showed %d when op %s was acknowledged, at least %d is right", shown.Count, c.op.ID, least)
	}
	return ""
}

func (a *additions) excess(before, shown protocol.State) (n int64, of string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return shown.Count - before.Count - a.clicks, "more than was clicked by then"
}

func (*additions) partial() bool { return true }

func (*additions) unsound(protocol.State, protocol.State) string { return "" }

// voters is the tally of a poll: who has voted.
type voters struct {
	mu    sync.Mutex
	tried map[string]bool // has made a vote, which may have been refused
	known map[string]bool // one was acknowledged
}

func (v *voters) made(_ *protocol.Op, person string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tried[person] = true
}

func (v *voters) acked(_ *protocol.Op, person string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[person] = true
}

func (v *voters) refused(*protocol.Op, string) {}

// floor is how many people had voted, the one who votes now included.
func (v *voters) floor(_ *protocol.Op, person string) floor {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := int64(len(v.known))
	if !v.known[person] {
		n++
	}
	return floor{n}
}

func (v *voters) own(before protocol.State, c *click, shown protocol.State, _ *protocol.Items) string {
	if least := before.Count + c.floor[0]; shown.Count < least {
		return fmt.Sprintf("showed %d votes when op %s was acknowledged, at least %d is right", shown.Count, c.op.ID, least)
	}
	return ""
}

func (v *voters) excess(before, shown protocol.State) (n int64, of string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return shown.Count - before.Count - int64(len(v.tried)), "votes more than people had voted by then"
}

func (*voters) partial() bool { return true }

func (*voters) unsound(protocol.State, protocol.State) string { return "" }

// transfers is the tally of a bank: what went out of each account and came in, by their numbers.
type transfers struct {
	mu                sync.Mutex
	out, in           map[string]int64 // by what was made and not refused
	knownOut, knownIn map[string]int64 // by what was acknowledged
}

// amountOf is what a transfer moves; one that can't be moves nothing.
func amountOf(op *protocol.Op) int64 {
	n, err := strconv.ParseInt(op.In["amount"], 10, 64)
	if err != nil || op.In["from"] == op.In["to"] {
		return 0
	}
	return n
}

func (t *transfers) made(op *protocol.Op, _ string) { t.move(t.out, t.in, op, 1) }

func (t *transfers) acked(op *protocol.Op, _ string) { t.move(t.knownOut, t.knownIn, op, 1) }

func (t *transfers) refused(op *protocol.Op, _ string) { t.move(t.out, t.in, op, -1) }

func (t *transfers) move(out, in map[string]int64, op *protocol.Op, times int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out[op.In["from"]] += times * amountOf(op)
	in[op.In["to"]] += times * amountOf(op)
}

// floor is what had gone out of the one account of a transfer, and come into the other.
func (t *transfers) floor(op *protocol.Op, _ string) floor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return floor{t.knownOut[op.In["from"]], t.knownIn[op.In["to"]]}
}

func (t *transfers) own(before protocol.State, c *click, shown protocol.State, _ *protocol.Items) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, to, amount := c.op.In["from"], c.op.In["to"], amountOf(&c.op)
	if most := balance(before, from) - c.floor[0] - amount + t.in[from]; balance(shown, from) > most {
		return fmt.Sprintf("showed %d in account %s when op %s was acknowledged, at most %d is right", balance(shown, from), from, c.op.ID, most)
	}
	if least := balance(before, to) + c.floor[1] + amount - t.out[to]; balance(shown, to) < least {
		return fmt.Sprintf("showed %d in account %s when op %s was acknowledged, at least %d is right", balance(shown, to), to, c.op.ID, least)
	}
	return ""
}

// balance is what an account has; 0 if there is none.
func balance(s protocol.State, account string) int64 {
	number, err := strconv.Atoi(account)
	if words := strings.Fields(s.Value); err == nil && number >= 1 && number <= len(words) {
		n, _ := strconv.ParseInt(words[number-1], 10, 64) // the protocol has made it of numbers
		return n
	}
	return 0
}

func (*transfers) partial() bool { return false }

// excess implements tally: what is in one account more is in another less.
func (*transfers) excess(protocol.State, protocol.State) (n int64, of string) { return 0, "" }

func (*transfers) unsound(before, shown protocol.State) string {
	if shown.Count != before.Count {
		return fmt.Sprintf("shows %d in all, and there was %d", shown.Count, before.Count)
	}
	for i, word := range strings.Fields(shown.Value) {
		if strings.HasPrefix(word, "-") {
			return fmt.Sprintf("shows that account %d is overdrawn: %s", i+1, word)
		}
	}
	return ""
}
