package statetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep/state"
)

// byteCases say which bytes topics, clients, data and seqs can have.
func byteCases() []testCase {
	return []testCase{
		{name: "topics of any UTF-8 are told apart", run: anyTopics},
		{name: "a topic that is not valid is refused", run: badTopics},
		{name: "clients of any bytes are told apart", run: anyClients},
		{name: "data of any bytes come back as they are", run: anyData},
		{name: "seqs are exact up to the greatest", run: greatSeqs},
	}
}

func anyTopics(e *env) {
	t := e.topic
	long := (t + strings.Repeat("x", state.MaxTopic))[:state.MaxTopic]
	topics := []string{
		t, t + "x", t[:len(t)-1], t + ":", t + ":lanes", t + "*", t + "%", t + "_", t + "?", t + "[a]", t + "\\", t + "'", t + `"`,
		t + "\x00", t + "\x00\x00", t + "\x00x", t + "\n", t + "\r\n", t + " ", t + "  ", " " + t, t + "{", t + "{a}", t + "}", "{" + t, "{" + t + "}", "{}" + t,
		strings.ToUpper(t), strings.ToLower(t), t + "/", t + "/..", t + "ü", t + "u\u0308", t + "🙂", t + "\u2028", t + "\ufffd", t + "\U0010ffff", t + "$1", t + "<b>",
		long, long[:state.MaxTopic-1], "y" + long[1:], long[:state.MaxTopic-1] + "y", (t + strings.Repeat("\x00", state.MaxTopic))[:state.MaxTopic],
		t + strings.Repeat("🙂", (state.MaxTopic-len(t))/4),
	}
	c := freshClient()
	records := e.readAt(e.store, topics...)
	for i, topic := range topics {
		step := state.Step{Topic: topic, Base: records[i], Data: []byte("of " + topic), Log: [][]byte{[]byte(topic)}, Moves: []state.Move{click(c, 1)}}
		o := e.commit(step)[0]
		if o.Err != nil || !o.Made[0] {
			e.Fatalf("topic %q: got %+v: is it another's?", topic, o)
		}
		records[i] = o.Record
	}
	for i, record := range e.readAt(e.store, topics...) {
		if string(record.Data) != "of "+topics[i] || !record.Same(records[i]) {
			e.Errorf("topic %q: got %s", topics[i], show(record))
		}
		if first, entries := e.entriesAt(e.store, topics[i], 0, 9); first != 1 || !slices.Equal(entries, topics[i:i+1]) {
			e.Errorf("topic %q: got log %d %q", topics[i], first, entries)
		}
	}
}

func badTopics(e *env) {
	for _, topic := range []string{"", strings.Repeat("x", state.MaxTopic+1), "\xff", e.topic + "\xc3", "\xed\xa0\x80", strings.Repeat("ü", state.MaxTopic/2+1)} {
		step := state.Step{Topic: topic, Moves: []state.Move{click(freshClient(), 1)}}
		if o := e.commit(step)[0]; !errors.Is(o.Err, state.ErrBadStep) {
			e.Errorf("Commit to %q: got %v, want ErrBadStep", topic, o.Err)
		}
		if _, err := e.store.Read(e.ctx, e.topic, topic); !errors.Is(err, state.ErrBadStep) {
			e.Errorf("Read of %q: got %v, want ErrBadStep", topic, err)
		}
		if _, _, err := e.store.Entries(e.ctx, topic, 0, 1); !errors.Is(err, state.ErrBadStep) {
			e.Errorf("Entries of %q: got %v, want ErrBadStep", topic, err)
		}
		mark := state.Mark{Topic: topic, Client: freshClient(), UpTo: 1}
		if err := e.store.Finish(e.ctx, state.Mark{Topic: e.topic, UpTo: 1}, mark); !errors.Is(err, state.ErrBadStep) {
			e.Errorf("Finish on %q: got %v, want ErrBadStep", topic, err)
		}
	}
}

func anyClients(e *env) {
	var clients []state.Client
	for i := range 16 {
		var zeros, ones state.Client
		zeros[i] = 1
		for j := range ones {
			ones[j] = 0xff
		}
		ones[i] = 0
		clients = append(clients, zeros, ones)
	}
	for b := range 256 {
		clients = append(clients, state.Client{0: byte(b), 7: '\n', 15: byte(b)})
	}
	slices.SortFunc(clients, func(a, b state.Client) int { return slices.Compare(a[:], b[:]) })
	clients = slices.Compact(clients)
	clients = append(clients[:state.MaxMoves-1], state.Client{})
	moves := make([]state.Move, len(clients))
	want := make([]state.Lane, len(clients))
	for i, c := range clients {
		moves[i] = jump(c, uint64(i)+1)
		want[i] = lane(uint64(i) + 1)
	}
	_, made := e.doMade(e.step(e.read(), "x", moves...))
	if slices.Contains(made, false) {
		e.Fatalf("made %v: two clients are taken for one", made)
	}
	e.wantLanes(e.peek(clients...), want...)
}

func anyData(e *env) {
	c, newest := freshClient(), e.read()
	for i, data := range [][]byte{
		{0}, {0, 0}, allBytes(), []byte(" "), []byte("null"), []byte("{}"), []byte(`\x00`), []byte("\\x"), []byte("1e3"), []byte("007"), []byte("-0"),
		[]byte("9007199254740993"), {0xff, 0xfe}, []byte("'"), []byte("\r\n"), slices.Repeat(allBytes(), 1000),
	} {
		step := e.step(newest, "", click(c, uint64(i)+1))
		step.Data = data
		newest = e.do(step)
		e.wantRecord(e.read(), newest)
		e.conflict(e.step(state.Record{}, "x", click(c, 1)), newest, lane(uint64(i)+1))
	}
}

func greatSeqs(e *env) {
	newest := e.read()
	for _, base := range []uint64{1<<31 - 2, 1<<32 - 2, 1<<52 - 2, state.MaxSeq - 4, 99_999_999_999_998, 1e15 - 2} {
		c := freshClient()
		newest = e.do(e.step(newest, "", state.Move{Client: c, Max: base - 1, To: state.Lane{Last: base, From: base - 1}}))
		for seq := base + 1; seq <= base+4; seq++ {
			to := state.Lane{Last: seq, From: seq - 1, Refused: fmt.Append(nil, seq)}
			move := state.Move{Client: c, Min: seq - 1, Max: seq - 1, To: to}
			if seq > base+1 {
				move.Was = fmt.Append(nil, seq-1)
			}
			newest = e.do(e.step(newest, "", move))
			e.wantLanes(e.peek(c), to)
			e.conflict(e.step(newest, "x", move), newest, to)
		}
		plain := freshClient()
		newest = e.do(e.step(newest, "", jump(plain, base)))
		for seq := base + 1; seq <= base+4; seq++ {
			newest = e.do(e.step(newest, "", click(plain, seq)))
			e.conflict(e.step(newest, "x", click(plain, seq)), newest, lane(seq))
		}
	}
}
