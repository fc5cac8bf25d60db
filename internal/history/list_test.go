package history_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/history"
	"lockstep/internal/short"
)

// added is the id of what an op has added.
func added(who string, seq uint64) string {
	return history.ID{Client: "c-" + who, Seq: seq}.Name()
}

func add(who string, seq uint64, text string) *history.Op {
	return click(who, seq, "add", "text", text)
}

func say(who string, seq uint64, text string) *history.Op {
	return click(who, seq, "say", "text", text)
}

// milk and eggs are in a list, and bread is done.
func groceries() []history.Item {
	return []history.Item{{ID: "m", Text: "milk & more"}, {ID: "e", Text: "eggs"}, {ID: "b", Text: "bread", Done: true}}
}

// with is the value of groceries after some change.
func with(change func([]history.Item) []history.Item) string {
	return history.ListValue(change(groceries()))
}

func TestListsKnowWhatTheirOpsComeTo(t *testing.T) {
	same := func(l []history.Item) []history.Item { return l }
	also := func(id, text string) func([]history.Item) []history.Item {
		return func(l []history.Item) []history.Item { return append(l, history.Item{ID: id, Text: text}) }
	}
	without := func(id string) func([]history.Item) []history.Item {
		return func(l []history.Item) []history.Item {
			return slices.DeleteFunc(l, func(i history.Item) bool { return i.ID == id })
		}
	}
	named := func(id, text string, done bool) func([]history.Item) []history.Item {
		return func(l []history.Item) []history.Item {
			i := slices.IndexFunc(l, func(i history.Item) bool { return i.ID == id })
			l[i].Text, l[i].Done = text, done
			return l
		}
	}
	back := func(l []history.Item) []history.Item { slices.Reverse(l); return l }
	two := func(a, b string) func([]history.Item) []history.Item {
		return func(l []history.Item) []history.Item {
			return append(l, history.Item{ID: a, Text: "1"}, history.Item{ID: b, Text: "2"})
		}
	}
	a1 := added("a", 1)
	for _, c := range []struct {
		name         string
		value        string
		applied, may []*history.Op
		want         string // in the error; "": there is none
	}{
		{"nothing is done", with(same), nil, nil, ""},
		{"an item is added", with(also(a1, "tea")), all(add("a", 1, "tea")), nil, ""},
		{"an item may be added", with(also(a1, "tea")), nil, all(add("a", 1, "tea")), ""},
		{"and may not", with(same), nil, all(add("a", 1, "tea")), ""},
		{"an added item is lost", with(same), all(add("a", 1, "tea")), nil, "has lost item " + a1},
		{"an item that was there is lost", with(without("m")), nil, nil, "has lost item m"},
		{"an item of nobody", with(also("x", "tea")), all(add("a", 1, "tea")), nil, "item x, \"tea\", which nobody has added"},
		{"an item twice", with(also("m", "milk & more")), nil, nil, "has item m twice"},
		{"an added item twice", with(two(a1, a1)), all(add("a", 1, "1")), nil, "twice"},
		{"an item with another text", with(also(a1, "coffee")), all(add("a", 1, "tea")), nil, `as "coffee", which it was not called last`},
		{"an item is removed", with(without("m")), all(click("a", 1, "remove", "id", "m")), nil, ""},
		{"a removed item is there", with(same), all(click("a", 1, "remove", "id", "m")), nil, "item m, \"milk & more\", which was removed"},
		{"one that may be removed is there", with(same), nil, all(click("a", 1, "remove", "id", "m")), ""},
		{"one that may be removed is not", with(without("m")), nil, all(click("a", 1, "remove", "id", "m")), ""},
		{"a name", with(named("m", "soy", false)), all(click("a", 1, "rename", "id", "m", "text", "soy")), nil, ""},
		{"a lost name", with(same), all(click("a", 1, "rename", "id", "m", "text", "soy")), nil, "not called last"},
		{"an older name of the same client", with(named("m", "soy", false)),
			all(click("a", 1, "rename", "id", "m", "text", "soy"), click("a", 2, "rename", "id", "m", "text", "oat")), nil, "not called last"},
		{"one of two clients' names", with(named("m", "soy", false)),
			all(click("a", 1, "rename", "id", "m", "text", "soy"), click("b", 2, "rename", "id", "m", "text", "oat")), nil, ""},
		{"a name that may be", with(named("m", "soy", false)), nil, all(click("a", 1, "rename", "id", "m", "text", "soy")), ""},
		{"a name that can't be any more", with(named("m", "soy", false)), all(click("a", 2, "rename", "id", "m", "text", "oat")),
			all(click("a", 1, "rename", "id", "m", "text", "soy")), "not called last"},
		{"a tick", with(named("m", "milk & more", true)), all(click("a", 1, "toggle", "id", "m")), nil, ""},
		{"a lost tick", with(same), all(click("a", 1, "toggle", "id", "m")), nil, "item m ticked: false, after 1 toggles"},
		{"two ticks", with(same), all(click("a", 1, "toggle", "id", "m"), click("b", 1, "toggle", "id", "m")), nil, ""},
		{"a tick that may be", with(named("m", "milk & more", true)), nil, all(click("a", 1, "toggle", "id", "m")), ""},
		{"what is ticked is cleared", with(without("b")), all(click("a", 1, "clear")), nil, ""},
		{"and nothing else", with(without("m")), all(click("a", 1, "clear")), nil, "has lost item m"},
		{"another order", with(back), nil, nil, "nobody has moved it"},
		{"another order, by moves", with(back), all(click("a", 1, "move", "id", "b", "behind", ""), click("a", 2, "down", "id", "m")), nil, ""},
		{"another order, perhaps by moves", with(back), nil, all(click("a", 1, "move", "id", "b", "behind", ""), click("a", 2, "down", "id", "m")), ""},
		{"a client's items in their order", with(two(a1, added("a", 2))), all(add("a", 2, "2"), add("a", 1, "1")), nil, ""},
		{"a client's items in another order", with(two(added("a", 2), a1)), all(add("a", 2, "1"), add("a", 1, "2")), nil, "behind what op 2 has"},
		{"an item before those that were there", history.ListValue(append([]history.Item{{ID: a1, Text: "tea"}}, groceries()...)),
			all(add("a", 1, "tea")), nil, "nobody has moved it"},
		{"what can't be done", with(same), all(click("a", 1, "explode")), nil, `has done explode map[], which can't be done`},
		{"no list", "milk", nil, nil, "no list"},
	} {
		t.Run(c.name, func(t *testing.T) { asks(t, history.Lists(), with(same), c.value, c.applied, c.may, c.want) })
	}
}

// asks compares what a kind says of a value, twice: asking changes nothing.
func asks(t *testing.T, kind history.Kind, before, value string, applied, may []*history.Op, want string) {
	t.Helper()
	ledger, err := kind.Begin(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range applied {
		ledger.Apply(op)
	}
	for range 2 {
		err := ledger.Check(value, may)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestLogsKnowWhatTheirOpsComeTo(t *testing.T) {
	entry := func(n uint64, who string, seq uint64, text string) history.Entry {
		return history.Entry{N: n, ID: added(who, seq), Text: text}
	}
	was := func(n uint64) history.Entry {
		return history.Entry{N: n, ID: "e" + strconv.FormatUint(n, 10), Text: "old"}
	}
	of := func(entries ...history.Entry) string { return history.LogValue(entries) }
	hi := all(say("a", 1, "hi"), say("a", 2, "you"), say("b", 1, "there"))
	many := all()
	for i := uint64(1); i <= 9; i++ {
		many = append(many, say("a", i, strconv.FormatUint(i, 10)))
	}
	for _, c := range []struct {
		name         string
		value        string
		applied, may []*history.Op
		want         string
	}{
		{"nothing is said", of(was(3), was(4)), nil, nil, ""},
		{"less of it is shown", of(was(4)), nil, nil, ""},
		{"more of it is shown", of(was(1), was(2), was(3), was(4)), nil, nil, ""},
		{"an old entry is another", of(was(3), entry(4, "x", 1, "old")), nil, nil, "as entry 4, which was e4"},
		{"all that was said", of(was(4), entry(5, "a", 1, "hi"), entry(6, "b", 1, "there"), entry(7, "a", 2, "you")), hi, nil, ""},
		{"the end of it", of(entry(6, "b", 1, "there"), entry(7, "a", 2, "you")), hi, nil, ""},
		{"one is lost", of(was(4), entry(5, "a", 1, "hi"), entry(6, "a", 2, "you")), hi, nil, "has 6 entries; what was acknowledged and sent allows 7"},
		{"one is lost, and one is of nobody", of(was(4), entry(5, "a", 1, "hi"), entry(6, "a", 2, "you"), entry(7, "x", 2, "?")), hi, nil, "which nobody has made"},
		{"one is lost, and another may be", of(was(4), entry(5, "a", 1, "hi"), entry(6, "a", 2, "you"), entry(7, "b", 2, "?")), hi, all(say("b", 2, "?")), "has lost entry " + added("b", 1)},
		{"one is lost, out of sight", of(was(2), was(3), was(4)), all(say("a", 1, "hi")), nil, "has 4 entries"},
		{"one is twice", of(entry(5, "a", 1, "hi"), entry(6, "a", 1, "hi"), entry(7, "b", 1, "there")), hi, nil, "twice, as 5 and as 6"},
		{"one is twice, out of sight", of(entry(6, "b", 1, "there"), entry(7, "a", 2, "you"), entry(8, "c", 1, "!")), append(hi, say("c", 1, "!"), say("c", 2, "?")), nil, "has 8 entries; what was acknowledged and sent allows 9"},
		{"a client's entries in another order", of(was(4), entry(5, "a", 2, "you"), entry(6, "b", 1, "there"), entry(7, "a", 1, "hi")), hi, nil, "behind that of op"},
		{"another text", of(was(4), entry(5, "a", 1, "ho"), entry(6, "b", 1, "there"), entry(7, "a", 2, "you")), hi, nil, `has "ho" as entry 5`},
		{"one that may be", of(was(4), entry(5, "a", 1, "hi")), nil, all(say("a", 1, "hi")), ""},
		{"and may not", of(was(4)), nil, all(say("a", 1, "hi")), ""},
		{"a hole", of(was(4), entry(5, "a", 1, "hi"), entry(7, "a", 2, "you")), hi, nil, "has entry 7 right behind entry 5"},
		{"a newer one is out of sight, and an older is not", of(entry(13, "a", 1, "1")), many, nil, "has lost entry"},
		{"what can't be done", of(was(4)), all(click("a", 1, "unsay")), nil, "can't be done"},
		{"numbers that fall", "5 x=1 4 y=2", nil, nil, "behind"},
		{"no log", "five", nil, nil, "no log"},
		{"no number", "x=1", nil, nil, "no log"},
	} {
		t.Run(c.name, func(t *testing.T) { asks(t, history.Logs(), of(was(3), was(4)), c.value, c.applied, c.may, c.want) })
	}
	t.Run("a hole, of who has not seen all", func(t *testing.T) {
		asks(t, history.LogsInPart(), of(was(4)), of(was(4), entry(5, "a", 1, "hi"), entry(7, "a", 2, "you")), hi, nil, "")
		asks(t, history.LogsInPart(), of(was(4)), of(was(4), entry(5, "a", 1, "hi"), entry(7, "a", 2, "you")), append(slices.Clip(hi[:2]), say("c", 1, "")), nil, "")
		asks(t, history.LogsInPart(), of(was(4)), of(was(4), entry(5, "a", 1, "hi"), entry(6, "a", 2, "you"), entry(7, "c", 1, "")),
			hi, all(say("c", 1, "")), "has lost entry")
	})
}

// A simulation is a topic that ops are applied to, and tabs that show it.
type simulation struct {
	t       *testing.T
	rnd     *rand.Rand
	h       *history.History
	version uint64
	items   []history.Item
	entries []history.Entry
	isLog   bool
	window  int
	waiting []*history.Op // sent, and not applied
	applied []*history.Op // and not acknowledged
	seq     map[string]uint64
	names   []string
}

func simulated(t *testing.T, seed uint64, isLog bool) *simulation {
	s := &simulation{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), isLog: isLog, window: 8, seq: make(map[string]uint64), names: []string{"a", "b", "c", "d"}}
	kind := history.Lists()
	if isLog {
		kind = history.Logs()
	}
	s.h = history.New(history.Options{Kind: kind, Base: history.State{Epoch: 1}})
	return s
}

// state is what a tab shows: of a log as much as it likes.
func (s *simulation) state() history.State {
	value := history.ListValue(s.items)
	if s.isLog {
		value = history.LogValue(s.entries[max(0, len(s.entries)-s.window-s.rnd.IntN(5)):])
	}
	return history.State{Epoch: 1, Version: s.version, Value: value}
}

// act has somebody make an op.
func (s *simulation) act() {
	who := s.names[s.rnd.IntN(len(s.names))]
	s.seq[who]++
	op := say(who, s.seq[who], "t"+strconv.Itoa(s.rnd.IntN(1000)))
	if !s.isLog {
		op = s.change(who)
	}
	s.waiting = append(s.waiting, op)
	s.h.Sent(who, *op)
}

// change is something done to a list.
func (s *simulation) change(who string) *history.Op {
	text := "t" + strconv.Itoa(s.rnd.IntN(1000))
	if len(s.items) < 3 || s.rnd.IntN(3) == 0 {
		return add(who, s.seq[who], text)
	}
	id, behind := s.items[s.rnd.IntN(len(s.items))].ID, s.items[s.rnd.IntN(len(s.items))].ID
	switch do := []string{"toggle", "rename", "move", "up", "down", "remove", "clear"}[s.rnd.IntN(7)]; do {
	case "rename":
		return click(who, s.seq[who], do, "id", id, "text", text)
	case "move":
		if behind == id {
			behind = ""
		}
		return click(who, s.seq[who], do, "id", id, "behind", behind)
	default:
		return click(who, s.seq[who], do, "id", id)
	}
}

// commit applies some of what waits, in one version.
func (s *simulation) commit() {
	s.version++
	for n := 1 + s.rnd.IntN(3); n > 0 && len(s.waiting) > 0; n-- {
		op := s.waiting[0] // the first is the oldest of its client, too
		s.waiting = s.waiting[1:]
		if s.do(op) {
			s.applied = append(s.applied, op)
		} else {
			s.h.Refused(op.User, op.ID, "it is not there")
		}
	}
}

func (s *simulation) do(op *history.Op) bool {
	if s.isLog {
		s.entries = append(s.entries, history.Entry{N: uint64(len(s.entries) + 1), ID: op.Name(), Text: op.In["text"]})
		return true
	}
	items, ok := history.Do(s.items, op)
	if ok {
		s.items = items
	}
	return ok
}

// show has some tabs show the newest state, and acknowledges the ops of these.
func (s *simulation) show(all bool) {
	for _, who := range s.names {
		if !all && s.rnd.IntN(3) == 0 {
			continue
		}
		s.h.Shown(who, s.state())
		s.applied = slices.DeleteFunc(s.applied, func(op *history.Op) bool {
			if op.User != who {
				return false
			}
			s.h.Acked(who, op.ID)
			return true
		})
	}
}

// run does a number of rounds; plant is called before the last but nth.
func (s *simulation) run(rounds int, plant func()) []history.Violation {
	for i := range rounds {
		for range 1 + s.rnd.IntN(3) {
			s.act()
		}
		s.commit()
		if i == rounds/2 && plant != nil {
			plant()
		}
		s.show(false)
	}
	s.calm()
	return s.h.Check(s.state(), s.names...)
}

// TestNoFalseAlarms: what is right is never called wrong, and as a rule it is known to be right.
func TestNoFalseAlarms(t *testing.T) {
	for _, isLog := range []bool{false, true} {
		compared, unknown := 0, 0
		for seed := range short.Of[uint64](60, 8) {
			s := simulated(t, seed, isLog)
			if found := s.run(40, nil); len(found) > 0 {
				t.Fatalf("log %v, seed %d: %v", isLog, seed, found[0])
			}
			c, u := s.h.Followed(s.state())
			compared, unknown = compared+c, unknown+u
		}
		if t.Logf("log %v: %d of %d steps are not known", isLog, unknown, compared); compared < 150 || unknown > compared/20 {
			t.Errorf("log %v: of %d steps %d are not known", isLog, compared, unknown)
		}
	}
}

// TestPlantedFaultsAreFound: each of them, whatever the seed.
func TestPlantedFaultsAreFound(t *testing.T) {
	fresh := history.Item{ID: "x", Text: "of nobody"}
	for _, c := range []struct {
		name  string
		isLog bool
		plant func(s *simulation)
	}{
		{"an item is lost", false, func(s *simulation) { s.items = s.items[:len(s.items)-1] }},
		{"an item of nobody", false, func(s *simulation) { s.items = append(s.items, fresh) }},
		{"an item twice", false, func(s *simulation) { s.items = append(s.items, s.items[0]) }},
		{"two items swapped", false, func(s *simulation) { s.items[0], s.items[1] = s.items[1], s.items[0] }},
		{"a tick is lost", false, func(s *simulation) { s.items[0].Done = !s.items[0].Done }},
		{"a text is another", false, func(s *simulation) { s.items[1].Text += "!" }},
		{"an entry is lost", true, func(s *simulation) {
			s.entries = s.entries[:len(s.entries)-1]
		}},
		{"an entry is lost in the middle", true, func(s *simulation) {
			i := len(s.entries) - 3
			s.entries = slices.Delete(s.entries, i, i+1)
			s.number()
		}},
		{"an entry is doubled", true, func(s *simulation) {
			s.entries = append(s.entries, s.entries[len(s.entries)-1])
			s.number()
		}},
		{"an entry of nobody", true, func(s *simulation) {
			s.entries = append(s.entries, history.Entry{ID: "x", Text: "of nobody"})
			s.number()
		}},
		{"two entries are swapped", true, func(s *simulation) {
			i := len(s.entries) - 2
			s.entries[i], s.entries[i-1] = s.entries[i-1], s.entries[i]
			s.number()
		}},
		{"a text of an entry is another", true, func(s *simulation) { s.entries[len(s.entries)-1].Text += "!" }},
		{"a gap", true, func(s *simulation) { s.entries[len(s.entries)-1].N++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range short.Of[uint64](20, 3) {
				s := simulated(t, seed, c.isLog)
				if found := s.run(40, func() {
					s.calm()
					s.items = slices.Clone(s.items)
					for s.version++; len(s.items) < 3 && !c.isLog; { // what nobody can have done
						s.items = append(s.items, history.Item{ID: fmt.Sprint("x", len(s.items)), Text: "of nobody"})
					}
					c.plant(s)
					s.show(true)
				}); len(found) == 0 {
					t.Errorf("seed %d: nothing is found", seed)
				}
			}
		})
	}
}

// calm has all be done and shown that was made.
func (s *simulation) calm() {
	for len(s.waiting) > 0 {
		s.commit()
	}
	s.show(true)
}

func (s *simulation) number() {
	for i := range s.entries {
		s.entries[i].N = uint64(i + 1)
	}
}

// TestTabsOfALogShowPartsOfIt: they need not be equal, and must agree.
func TestTabsOfALogShowPartsOfIt(t *testing.T) {
	at := func(version uint64, value string) history.State {
		return history.State{Epoch: 1, Version: version, Value: value}
	}
	one, two, three := added("a", 1), added("a", 2), added("a", 3)
	for _, c := range []struct {
		name  string
		other string // what the other tab shows
		want  []history.Rule
	}{
		{"all", "1 " + one + "=1 " + two + "=2 " + three + "=3", nil},
		{"the end", "3 " + three + "=3", nil},
		{"a part that does not reach the end", "1 " + one + "=1 " + two + "=2", []history.Rule{history.Phantom, history.Phantom, history.Convergence}},
		{"another order", "2 " + three + "=3 " + two + "=2", []history.Rule{history.Phantom, history.Phantom, history.Convergence}},
		{"a gap that it does not tell of", "1 " + one + "=1 3 " + three + "=3", []history.Rule{history.Phantom, history.Convergence}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := history.New(history.Options{Kind: history.Logs(), Base: at(0, "")})
			final := at(3, "1 "+one+"=1 "+two+"=2 "+three+"=3")
			for seq := range uint64(3) {
				h.Sent("a", *say("a", seq+1, strconv.FormatUint(seq+1, 10)))
			}
			h.Shown("a", final)
			for seq := range uint64(3) {
				h.Acked("a", history.ID{Client: "c-a", Seq: seq + 1})
			}
			h.Shown("b", at(3, c.other))
			var rules []history.Rule
			for _, v := range h.Check(final, "a", "b") {
				rules = append(rules, v.Rule)
			}
			slices.Sort(rules)
			slices.Sort(c.want)
			if !slices.Equal(rules, c.want) {
				t.Errorf("got %v, want %v", rules, c.want)
			}
		})
	}
}
