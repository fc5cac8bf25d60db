package statetest

import (
	"fmt"
	"math"
	"slices"

	"lockstep/state"
)

// logCases say what becomes of log entries.
func logCases() []testCase {
	return []testCase{
		{name: "log entries are numbered from 1 without gaps, whatever else a step does", run: logNumbers},
		{name: "Entries pages through a log", run: logPages},
		{name: "the newest entries stay, and the numbers of those that are gone are not used again", run: logTrims},
		{name: "a step without entries trims, too, and one without Keep does not", run: logTrimsWithout},
		{name: "a step can append more than it keeps", run: logOverflows},
		{name: "a step that conflicts appends nothing", run: logOfConflict},
		{name: "the most entries of a step, empty ones and those with all bytes", run: logMost},
		{name: "logs do not touch each other", run: logsAreApart},
	}
}

// appendLog commits a step that appends entries, and returns the newest record.
func (e *env) appendLog(base state.Record, keep int, entries ...string) state.Record {
	e.Helper()
	step := e.step(base, "", click(freshClient(), 1))
	step.Keep = keep
	for _, entry := range entries {
		step.Log = append(step.Log, []byte(entry))
	}
	return e.do(step)
}

func (e *env) wantLog(after uint64, most int, first uint64, want ...string) {
	e.Helper()
	got, entries := e.entries(after, most)
	if got != first || !slices.Equal(entries, want) {
		e.Fatalf("behind %d, %d at most: got %d %.60q, want %d %.60q", after, most, got, entries, first, want)
	}
}

func logNumbers(e *env) {
	e.wantLog(0, 9, 1)
	newest := e.appendLog(e.read(), 0, "one", "two")
	newest = e.appendLog(newest, 0)
	newest = e.do(e.step(newest, "data", click(freshClient(), 1)))
	newest = e.appendLog(newest, 0, "three")
	e.appendLog(newest, 0, "four", "five", "six")
	e.wantLog(0, 9, 1, "one", "two", "three", "four", "five", "six")
	e.wantLog(2, 9, 3, "three", "four", "five", "six")
	e.wantLog(5, 9, 6, "six")
	e.wantLog(6, 9, 7)
}

func logPages(e *env) {
	newest := e.read()
	var want []string
	for i := range 5 {
		part := make([]string, 20)
		for j := range part {
			part[j] = fmt.Sprintf("entry %d", i*20+j+1)
		}
		newest = e.appendLog(newest, 0, part...)
		want = append(want, part...)
	}
	for _, most := range []int{1, 7, 50, 99, 100, 101, state.MaxLog} {
		for after := 0; after < len(want); after += most {
			e.wantLog(uint64(after), most, uint64(after)+1, want[after:min(after+most, len(want))]...)
		}
	}
	e.wantLog(uint64(len(want)), 10, uint64(len(want))+1)
	for _, after := range []uint64{1000, math.MaxInt64, math.MaxUint64 - 1} {
		e.wantLog(after, 10, after+1)
	}
	for _, most := range []int{0, -1, math.MinInt32} {
		e.wantLog(3, most, 4)
	}
	e.wantLog(98, math.MaxInt32, 99, want[98:]...)
	e.appendLog(newest, 1, "the only one")
	e.wantLog(0, 10, uint64(len(want))+1, "the only one")
}

func logTrims(e *env) {
	newest := e.read()
	for i := 1; i <= 12; i++ {
		newest = e.appendLog(newest, 3, fmt.Sprint(i))
		first := max(1, i-2)
		var want []string
		for n := first; n <= i; n++ {
			want = append(want, fmt.Sprint(n))
		}
		e.wantLog(0, 9, uint64(first), want...)
		e.wantLog(uint64(i)-1, 9, uint64(i), fmt.Sprint(i))
		e.wantLog(uint64(i), 9, uint64(i)+1)
	}
	e.wantLog(3, 2, 10, "10", "11") // 4 to 9 are gone
	newest = e.appendLog(newest, 5, "13")
	e.wantLog(0, 9, 10, "10", "11", "12", "13")
	e.appendLog(newest, 1, "14")
	e.wantLog(0, 9, 14, "14")
}

func logTrimsWithout(e *env) {
	newest := e.appendLog(e.read(), 0, "1", "2", "3", "4")
	newest = e.appendLog(newest, 0)
	e.wantLog(0, 9, 1, "1", "2", "3", "4")
	newest = e.appendLog(newest, 9)
	e.wantLog(0, 9, 1, "1", "2", "3", "4")
	newest = e.appendLog(newest, 2)
	e.wantLog(0, 9, 3, "3", "4")
	e.appendLog(newest, 0, "5")
	e.wantLog(0, 9, 3, "3", "4", "5")
}

func logOverflows(e *env) {
	newest := e.appendLog(e.read(), 2, "1", "2", "3", "4", "5")
	e.wantLog(0, 9, 4, "4", "5")
	e.appendLog(newest, 1, "6", "7")
	e.wantLog(0, 9, 7, "7")
}

func logOfConflict(e *env) {
	newest := e.appendLog(e.read(), 0, "1", "2")
	step := e.step(state.Record{}, "x", click(freshClient(), 1))
	step.Log, step.Keep = [][]byte{[]byte("3")}, 1
	e.conflict(step, newest, state.Lane{})
	step.Base, step.Moves[0].Min, step.Moves[0].Max, step.Moves[0].To = newest, 1, 1, lane(2)
	e.conflict(step, newest, state.Lane{})
	e.wantLog(0, 9, 1, "1", "2")
	e.appendLog(newest, 0, "3")
	e.wantLog(2, 9, 3, "3")
}

func logMost(e *env) {
	entries := make([]string, state.MaxLog)
	for i := range entries {
		entries[i] = fmt.Sprintf("%d\x00\xff%s", i, allBytes()[:i])
	}
	entries[0], entries[7], entries[len(entries)-1] = "", "", ""
	newest := e.appendLog(e.read(), 0, entries...)
	e.wantLog(0, state.MaxLog, 1, entries...)
	e.appendLog(newest, state.MaxLog, entries...)
	e.wantLog(0, 2*state.MaxLog, state.MaxLog+1, entries...)
}

func logsAreApart(e *env) {
	other := e.topic + "x"
	e.appendLog(e.read(), 0, "1", "2")
	step := state.Step{Topic: other, Base: e.readAt(e.store, other)[0], Log: [][]byte{[]byte("other")}, Moves: []state.Move{click(freshClient(), 1)}, Keep: 1}
	if o := e.commit(step)[0]; o.Err != nil {
		e.Fatal(o.Err)
	}
	e.wantLog(0, 9, 1, "1", "2")
	if first, entries := e.entriesAt(e.store, other, 0, 9); first != 1 || !slices.Equal(entries, []string{"other"}) {
		e.Fatalf("got log %d %q of the other topic", first, entries)
	}
}
