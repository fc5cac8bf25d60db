package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// errEntryID is the reason of a refusal.
var errEntryID = errors.New("this can't be the id of an entry")

// A Log is what an action knows of a log: how many entries there have been, and what it appends.
// Entries are numbered from 1. They are not in the state: a Batcher puts them into the store's
// log in the step that makes the state, so that an entry is there exactly if its op is applied;
// Store.Entries reads them, and ReadEntries says what they are. A Log is a value, like a List.
// The zero Log has no entries. As JSON it is {"n":12}, and with Kind.KeepFor it says how old its
// entries are.
type Log[M any] struct {
	N     uint64     // how many entries there have been, with those that are appended
	ages  []entryAge // the oldest first; is never changed
	fresh []Entry[M] // that the store has not got yet; is never changed
}

// An Entry is one of a log.
type Entry[M any] struct {
	N  uint64    // its number
	ID string    // 1 to MaxItemID of A-Z, a-z, 0-9, _ and -
	At time.Time // when it was committed, by the replica's clock, in ms; zero: it was not yet
	M  M
}

// An entryAge says that the entry N was appended at a time, in ms of Unix, and those before it
// earlier.
type entryAge struct {
	N  uint64
	At int64
}

// Append returns the log with one more entry. For an entry that an op appends the id is Call.Op,
// and for a second one that with "-2". An op that appends an entry whose id can't be one is
// refused, and so is one that appends more than MaxLog entries, or more bytes than MaxData of
// its Kind.
func (l Log[M]) Append(id string, m M) Log[M] {
	l.N++
	l.fresh = append(slices.Clip(l.fresh), Entry[M]{N: l.N, ID: id, M: m})
	return l
}

// Appended returns the entries that are not in the store yet: those that the actions of a Preview
// have appended. They are not to be changed.
func (l Log[M]) Appended() []Entry[M] { return l.fresh }

// ReadEntries returns what Store.Entries has returned, or a Commit says. An entry that can't
// be read is an error.
func ReadEntries[M any](first uint64, entries [][]byte) ([]Entry[M], error) {
	all := make([]Entry[M], len(entries))
	for i, data := range entries {
		if err := json.Unmarshal(data, &all[i]); err != nil {
			return nil, fmt.Errorf("state: the entry %d can't be read: %w", first+uint64(i), err)
		}
		all[i].N = first + uint64(i)
	}
	return all, nil
}

// An entryJSON is an Entry as it is in the store.
type entryJSON[M any] struct {
	ID string `json:"id"`
	At int64  `json:"at"` // ms of Unix
	M  M      `json:"m"`
}

// MarshalJSON implements json.Marshaler: {"id":…,"at":…,"m":…}, at in ms of Unix; the number is not
// in it.
func (e Entry[M]) MarshalJSON() ([]byte, error) {
	return json.Marshal(entryJSON[M]{e.ID, e.At.UnixMilli(), e.M})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Entry[M]) UnmarshalJSON(data []byte) error {
	var in entryJSON[M]
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if !isItemID(in.ID) {
		return errors.New("state: an entry without an id")
	}
	e.ID, e.At, e.M = in.ID, time.UnixMilli(in.At), in.M
	return nil
}

// A logJSON is a Log as it is in a state.
type logJSON struct {
	N    uint64      `json:"n"`
	Ages [][2]uint64 `json:"t,omitempty"` // number and ms of Unix
}

// MarshalJSON implements json.Marshaler. What is appended is not in it.
func (l Log[M]) MarshalJSON() ([]byte, error) {
	out := logJSON{N: l.N}
	for _, a := range l.ages {
		out.Ages = append(out.Ages, [2]uint64{a.N, uint64(a.At)})
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Log[M]) UnmarshalJSON(data []byte) error {
	var in logJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*l = Log[M]{N: in.N}
	for _, a := range in.Ages {
		l.ages = append(l.ages, entryAge{a[0], int64(a[1])})
	}
	return nil
}

// shares implements sharer.
func (Log[M]) shares() {}

// An Appender is a *Log, whatever its entries are.
type Appender interface {
	// take returns what is appended, as the store gets it at a time, and takes it out. An
	// error is a reason.
	take(at time.Time, r retention) (a appended, err error)
	// count is how many entries there have been.
	count() uint64
}

// count implements Appender.
func (l *Log[M]) count() uint64 { return l.N }

// A retention says which entries stay.
type retention struct {
	keep    int           // how many; 0: all
	keepFor time.Duration // and for how long; 0: for ever
}

// An appended is what a run has appended to a log.
type appended struct {
	entries [][]byte
	next    uint64 // the number of the entry after these
	keep    int    // as in Step
}

// first is the number of the first entry.
func (a *appended) first() uint64 { return a.next - uint64(len(a.entries)) }

// add adds what was appended later.
func (a *appended) add(more appended) {
	if len(more.entries) > 0 {
		a.entries, a.next, a.keep = slices.Concat(a.entries, more.entries), more.next, more.keep
	}
}

// size is how many bytes the entries take.
func (a *appended) size() (n int) {
	for _, e := range a.entries {
		n += len(e)
	}
	return n
}

// take implements Appender.
func (l *Log[M]) take(at time.Time, r retention) (a appended, err error) {
	if len(l.fresh) == 0 {
		return a, nil
	}
	for _, e := range l.fresh {
		if !isItemID(e.ID) {
			return appended{}, errEntryID
		}
		e.At = at
		data, err := json.Marshal(e)
		if err != nil {
			return appended{}, fmt.Errorf("state: an entry can't be written: %w", err)
		}
		a.entries = append(a.entries, data)
	}
	l.age(at, r.keepFor)
	a.next, a.keep = l.N+1, l.kept(r.keep)
	l.fresh = nil
	return a, nil
}

// agesOfLog is how many parts of KeepFor a log tells apart.
const agesOfLog = 16

// age takes in that what is appended has an age from now on, and forgets that of entries which are
// older than keepFor. What was there before ages were told apart is as old as what comes first.
func (l *Log[M]) age(at time.Time, keepFor time.Duration) {
	if keepFor <= 0 {
		l.ages = nil
		return
	}
	now, part := at.UnixMilli(), max(keepFor.Milliseconds()/agesOfLog, 1)
	ages := slices.Clone(l.ages)
	if len(ages) == 0 {
		ages = append(ages, entryAge{1, now})
	} else if now-ages[len(ages)-1].At >= part {
		ages = append(ages, entryAge{l.N + 1 - uint64(len(l.fresh)), now})
	}
	for len(ages) > 1 && now-ages[0].At-part >= keepFor.Milliseconds() {
		ages = ages[1:] // all of that part are older
	}
	l.ages = ages
}

// kept returns how many entries stay, as in Step, if at most keep may; 0: all.
func (l *Log[M]) kept(keep int) int {
	if len(l.ages) == 0 {
		return keep
	}
	young := int(l.N + 1 - min(l.ages[0].N, l.N))
	if keep == 0 || young < keep {
		return young
	}
	return keep
}
