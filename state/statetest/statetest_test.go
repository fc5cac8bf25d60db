package statetest

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// A verdict is a testing.TB that notes failures instead of failing.
type verdict struct {
	testing.TB
	mu     sync.Mutex // guards failed
	failed string
}

func (v *verdict) Helper() {}

func (v *verdict) Error(args ...any) { v.note(fmt.Sprint(args...)) }

func (v *verdict) Errorf(format string, args ...any) { v.note(fmt.Sprintf(format, args...)) }

func (v *verdict) Fatal(args ...any) {
	v.note(fmt.Sprint(args...))
	panic(v)
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.note(fmt.Sprintf(format, args...))
	panic(v)
}

func (v *verdict) note(s string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed += s + "\n"
}

// judge runs a case in fake time and returns what it finds wrong.
func judge(t *testing.T, c testCase, bug string) string {
	v := &verdict{TB: t}
	synctest.Test(t, func(t *testing.T) {
		v.TB = t
		defer func() {
			if p := recover(); p != nil && p != any(v) {
				panic(p)
			}
		}()
		d := newDisk()
		c.try(v, func(testing.TB) state.Store { return d.open(bug) }, d.options(bug))
	})
	return v.failed
}

// options are those of stores on a disk.
func (d *disk) options(bug string) Options {
	open := func(_ testing.TB, s state.Store) state.Store {
		_ = s.Close()
		return d.reopen(bug)
	}
	return Options{
		Reopen: open,
		Second: func(testing.TB, state.Store) state.Store { return d.open(bug) },
		Crash:  func(testing.TB) { d.crash(bug) },
		Copy: func(testing.TB, state.Store) func(testing.TB, state.Store) state.Store {
			epoch, data := d.epoch, d.data.copy()
			return func(_ testing.TB, s state.Store) state.Store {
				_ = s.Close()
				d.restore(bug, epoch, data.copy())
				return d.open(bug)
			}
		},
		Shift: func(_ testing.TB, _ state.Store, by time.Duration) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.ahead += by
		},
		Lifetime: testLifetime, DoneLifetime: testDoneLifetime,
	}
}

// reopen is a restart of the program.
func (d *disk) reopen(bug string) *faulty {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now().Add(d.ahead)
	switch bug {
	case "has a new epoch at each restart":
		d.epoch++
	case "has an epoch by its clock":
		d.epoch = uint64(now.UnixMilli())
	case "forgets the data at a restart":
		d.data.topics = make(map[string]*faultyTopic)
	case "forgets lanes at a restart":
		for _, t := range d.data.topics {
			clear(t.lanes)
		}
	case "forgets logs at a restart":
		for _, t := range d.data.topics {
			t.log = nil
		}
	case "begins with an age at a restart":
		d.data.age = state.Age{N: d.data.age.N + 2, Since: now}
	case "begins the age anew at a restart":
		d.data.age.Since = now
	}
	return d.open(bug)
}

// crash is kill -9 of a server.
func (d *disk) crash(bug string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.data.topics {
		switch bug {
		case "has a new epoch at each restart":
			d.epoch++
		case "loses data in a crash":
			t.record.Data = nil
		case "loses lanes in a crash":
			clear(t.lanes)
		}
	}
}

// restore puts an earlier copy in the place of the data.
func (d *disk) restore(bug string, epoch uint64, data contents) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.data = data
	switch bug {
	case "keeps the epoch of a copy":
		d.epoch = epoch
	case "has the epoch of the copy and one":
		d.epoch = epoch + 1
	default:
		d.epoch++
	}
}

// right are differences between stores that are not bugs.
var right = []string{"", "loses answers", "counts ops", "has a new epoch at each restart"}

func TestSuiteAcceptsACorrectStore(t *testing.T) {
	for _, bug := range right {
		for _, c := range cases() {
			if failed := judge(t, c, bug); failed != "" {
				t.Errorf("a store that %q: %s: %s", bug, c.name, failed)
			}
		}
	}
}

func TestSuiteFindsEachBug(t *testing.T) {
	byName := make(map[string]testCase)
	for _, c := range cases() {
		byName[c.name] = c
	}
	for bug, name := range foundBy() {
		c, ok := byName[name]
		if !ok {
			t.Errorf("there is no case %q", name)
		} else if judge(t, c, bug) == "" {
			t.Errorf("a store that %s: the case %q does not fail", bug, name)
		}
	}
}

// foundBy are the bugs that faulty stores have, and for each of them a case
// that fails.
func foundBy() map[string]string {
	return map[string]string{
		"marks a lane once":                          "a lane that is marked again is known for its time again",
		"wraps errors":                               "a commit on anything but the newest record conflicts, and is answered with it",
		"marks young lanes only":                     "a lane that is done long after its last move is forgotten in time",
		"takes back what it returned":                "what a store has returned stays as it is, whatever is committed later",
		"acknowledges what it drops at Close":        "closing while others commit loses nothing that was acknowledged",
		"always returns the data":                    "a conflict by a move alone has no data in its answer",
		"answers conflicts with the base":            "a commit on anything but the newest record conflicts, and is answered with it",
		"answers steps in the order of topics":       "scripts of random calls do what the model says",
		"appends in spite of a conflict":             "a step that conflicts appends nothing",
		"begins the age anew at a restart":           "lanes are forgotten over restarts, too",
		"begins with an age at a restart":            "lanes are forgotten over restarts, too",
		"believes its clock":                         "no jump of the clock makes a store forget a lane before another lifetime",
		"takes too long to close":                    "closing twice is harmless, and calls after it fail",
		"can't be closed twice":                      "closing twice is harmless, and calls after it fail",
		"checks nothing":                             "a step that is not valid is refused",
		"compares epochs only":                       "a commit on anything but the newest record conflicts, and is answered with it",
		"compares the lengths of Was":                "a move holds only on the refusals that it was made on",
		"compares versions only":                     "a commit on anything but the newest record conflicts, and is answered with it",
		"cuts long data":                             "a step of the most of everything is done",
		"deletes what is marked":                     "a lane that is done is forgotten in time, and not before",
		"does what is valid of a call":               "a step that is not valid fails its whole call, and nothing of it is done",
		"does what never holds":                      "a move whose Min is greater than its Max reads lanes, and makes none",
		"ends clients at a zero byte":                "clients of any bytes are told apart",
		"ends topics at a zero byte":                 "topics of any UTF-8 are told apart",
		"folds the case of topics":                   "topics of any UTF-8 are told apart",
		"forgets lanes at a restart":                 "all is kept over a restart",
		"forgets lanes that are done too early":      "ages of a topic in constant use are not too short",
		"forgets lanes that are done too late":       "a lane that is done is forgotten in time, and not before",
		"forgets lanes too early":                    "ages of a topic in constant use are not too short",
		"forgets lanes too late":                     "data, versions and logs stay when lanes are forgotten",
		"forgets logs at a restart":                  "all is kept over a restart",
		"forgets refusals":                           "refusals are kept byte for byte, replaced and taken back",
		"forgets refusals with a mark":               "a mark changes nothing but how long its lane is known",
		"forgets the data at a restart":              "all is kept over a restart",
		"gives up when another is there":             "writers of overlapping topics in any order all get through",
		"has an epoch by its clock":                  "a clock that was wrong by years before a restart, and is right after it, hurts nobody",
		"has an outcome for nothing":                 "a commit of nothing has no outcomes",
		"has no epoch for unknown topics":            "reading a topic makes nothing of it",
		"has the epoch of the copy and one":          "the same copy restored again has an epoch of its own",
		"has two ages in a lifetime":                 "no jump of the clock makes a store forget a lane that is done before its time",
		"ignores Max":                                "a move holds from Min to Max, for a client that is not known too",
		"ignores Min":                                "a move holds from Min to Max, for a client that is not known too",
		"ignores Was":                                "a move holds only on the refusals that it was made on",
		"ignores a cancelled context":                "a call whose context has ended fails and does nothing",
		"ignores marks":                              "a lane that is done is forgotten in time, and not before",
		"is not atomic":                              "writers at once lose no update, and a version has one state",
		"keeps clients as text":                      "clients of any bytes are told apart",
		"keeps data as text":                         "data of any bytes come back as they are",
		"keeps marks":                                "a later move takes the mark back",
		"keeps refusals as text":                     "refusals are kept byte for byte, replaced and taken back",
		"keeps slices that it is given":              "what a caller does with its bytes after a call is its own affair",
		"keeps the From of a lane that is forgotten": "what was forgotten is made anew, and stays",
		"keeps the epoch of a copy":                  "restored data have an epoch that never was, and nothing of the lost history holds",
		"keeps twice as much":                        "a step can append more than it keeps",
		"knows no epoch":                             "restored data have an epoch that never was, and nothing of the lost history holds",
		"leaves From out":                            "From never falls",
		"leaves lanes out when the base is old":      "a conflict has the lanes of all its moves in their order",
		"lets From fall":                             "From never falls",
		"loses answers, and lanes":                   "a call that is cancelled on its way is done or not, and its retry counts once",
		"loses data in a crash":                      "a crash of the server keeps what was committed",
		"loses lanes in a crash":                     "crashes under load lose no acknowledged op, and count none twice",
		"makes lanes of marks":                       "a mark of a client that is not known makes no lane",
		"makes no version of a step without data":    "a refusal alone makes a version, so that what was computed before it conflicts",
		"makes one mark only":                        "one call marks many lanes, each by itself",
		"makes topics of conflicts":                  "a step that conflicts does nothing: no data, no log, no lane, no topic",
		"makes topics of reads":                      "reading a topic makes nothing of it",
		"makes versions of marks":                    "a mark changes nothing but how long its lane is known",
		"marks anything":                             "a Read that is not valid fails",
		"marks in two steps":                         "a mark that meets moves sets no lane back, and marks none that went on",
		"marks lanes that went on":                   "a mark below the last of a lane changes nothing",
		"marks lanes with their first move":          "a lane is known for a lifetime after its last move, and forgotten in time",
		"marks whole topics":                         "a mark is of one client and one topic",
		"moves one after the other":                  "a step that conflicts does nothing: no data, no log, no lane, no topic",
		"never returns the data":                     "a commit on anything but the newest record conflicts, and is answered with it",
		"never takes refusals back":                  "refusals are kept byte for byte, replaced and taken back",
		"never trims":                                "a step can append more than it keeps",
		"numbers what stays":                         "the newest entries stay, and the numbers of those that are gone are not used again",
		"reads a log in two steps":                   "Entries that meets commits returns entries with their numbers",
		"reads anything":                             "a Read that is not valid fails",
		"reads each topic once":                      "Read answers in the order of the topics, repeated and unknown ones too",
		"reads from a cache":                         "another replica sees what was committed, at once",
		"reads in the order of topics":               "Read answers in the order of the topics, repeated and unknown ones too",
		"reads lanes after the record":               "the lanes of a conflict are not newer than its record",
		"returns all entries":                        "Entries pages through a log",
		"returns the data that it got":               "the first commit of a topic is on the record that Read returns",
		"returns the newest entries first":           "log entries are numbered from 1 without gaps, whatever else a step does",
		"rounds seqs":                                "seqs are exact up to the greatest",
		"says no gaps":                               "the newest entries stay, and the numbers of those that are gone are not used again",
		"says that each move makes a lane":           "Made says which lanes are new",
		"says that only the first move makes a lane": "Made says which lanes are new",
		"shares a log":                               "logs do not touch each other",
		"skips empty entries":                        "the most entries of a step, empty ones and those with all bytes",
		"sorts lanes":                                "a conflict has the lanes of all its moves in their order",
		"stops at the first conflict":                "steps of one call succeed and conflict each by itself, in their order",
		"sweeps what was made anew":                  "lanes that are made anew by many while old ones are deleted stay",
		"takes a topic twice":                        "two steps of one topic in one call are not valid",
		"takes a zero base":                          "the zero record is not the newest, even of a topic that was never written",
		"takes any newer base":                       "a commit on anything but the newest record conflicts, and is answered with it",
		"takes any topic":                            "a topic that is not valid is refused",
		"takes empty data":                           "a step that is not valid is refused",
		"takes long data":                            "one byte of data and log more than the most is not valid",
		"takes long logs":                            "one log entry more than the most is not valid",
		"takes long refusals":                        "one byte of refusals more than the most is not valid",
		"takes nil data for none":                    "a step without data leaves the data, and makes a version",
		"takes no Keep for none":                     "log entries are numbered from 1 without gaps, whatever else a step does",
		"takes one move too many":                    "one move more than the most is not valid",
		"takes only so much of a topic":              "topics of any UTF-8 are told apart",
		"takes too many steps":                       "a call of the most steps is done, and one more is not valid",
		"takes unknown clients for anything":         "a move holds from Min to Max, for a client that is not known too",
		"trims in spite of a conflict":               "a step that conflicts appends nothing",
		"trims only what it appends to":              "a step without entries trims, too, and one without Keep does not",
		"waits for a clock that was ahead":           "a clock that is wrong for a while, and right again, hurts nobody",
		"works after Close":                          "closing twice is harmless, and calls after it fail",
	}
}
