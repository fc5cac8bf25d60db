//go:build js

// Package idbcounter keeps counters in the browser, with IndexedDB (W3C
// Indexed Database API 3.0). All tabs of an origin share them, and they are
// there when the browser starts again, as long as neither the person nor the
// browser clears the site's data; then they begin anew, in a later epoch.
//
// An Apply is one transaction, which the browser keeps apart from those of
// other tabs: no lock is needed beside it.
package idbcounter

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"syscall/js"
	"time"

	"lockstep/counter"
)

// pruneMost is how many forgotten ops one Apply deletes at most: more than it
// adds, so they never pile up.
const pruneMost = 2 * counter.MaxOps

// Object stores. A key of ops is name, NUL, op id; the index on until finds the
// oldest.
const (
	meta   = "meta"   // "epoch" → milliseconds
	values = "values" // name → {n, v}, in decimal: numbers of JavaScript end at 2^53
	ops    = "ops"    // name NUL op → {until}, in milliseconds
	until  = "until"
)

var (
	errClosed  = errors.New("idbcounter: the store is closed")
	errForeign = errors.New("the database is of another program or damaged")
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Window is how long an op is remembered. Default counter.DedupWindow.
	Window time.Duration
}

// A Store is a counter.Store in the browser's database of one name.
type Store struct {
	name   string
	window time.Duration
	made   time.Time

	// The latest epoch that a call has met: a database that is made anew begins a
	// later one, even if the clock has been set back.
	epoch atomic.Uint64

	// A call takes what is in the channel, and puts it back: a lock whose wait
	// ends with the call's context.
	conn chan connection
}

// New returns a store in the database called name, which the first call opens,
// and makes if it does not exist. Calls fail where the browser has no IndexedDB
// or does not let this page use it.
func New(name string, opts *Options) *Store {
	s := &Store{name: name, window: counter.DedupWindow, made: time.Now(), conn: make(chan connection, 1)}
	if opts != nil && opts.Window > 0 {
		s.window = opts.Window
	}
	s.conn <- connection{}
	return s
}

// A span is the time in milliseconds, by two clocks: it lies between early and
// late. One of them is set at times, and jumps; the other stands still while
// the computer sleeps. An op must not be forgotten before its time, whichever
// of them is wrong, so it is kept by late and forgotten by early.
type span struct{ early, late int64 }

func (s *Store) now() span {
	set, steady := time.Now().UnixMilli(), s.made.Add(time.Since(s.made)).UnixMilli()
	return span{min(set, steady), max(set, steady)}
}

// Apply implements counter.Store: one transaction, on disk when it returns as
// far as the browser can tell.
func (s *Store) Apply(ctx context.Context, name string, list ...counter.Op) (counter.Value, []bool, error) {
	if err := counter.Check(name, list); err != nil {
		return counter.Value{}, nil, err
	}
	var v counter.Value
	var applied []bool
	err := s.transact(ctx, "readwrite", func(tx js.Value) (func() error, []js.Value) {
		now := s.now()
		table := tx.Call("objectStore", ops)
		old := js.Global().Get("IDBKeyRange").Call("upperBound", now.early)
		requests := []js.Value{
			tx.Call("objectStore", meta).Call("get", "epoch"),
			tx.Call("objectStore", values).Call("get", name),
			table.Call("index", until).Call("getAllKeys", old, pruneMost),
		}
		for _, op := range list {
			requests = append(requests, table.Call("getKey", key(name, op)))
		}
		return func() (err error) {
			v, err = value(requests[0], requests[1])
			if err != nil {
				return err
			}
			known := make([]bool, len(list))
			for i, r := range requests[3:] {
				known[i] = !r.Get("result").IsUndefined()
			}
			v, applied, err = apply(v, list, known)
			if err != nil {
				return err
			}
			forget(table, requests[2].Get("result"))
			for i, op := range list {
				if applied[i] {
					table.Call("put", map[string]any{until: now.late + s.window.Milliseconds()}, key(name, op))
				}
			}
			tx.Call("objectStore", values).Call("put", map[string]any{
				"n": strconv.FormatInt(v.N, 10), "v": strconv.FormatUint(v.Version, 10),
			}, name)
			return nil
		}, requests
	})
	if err != nil {
		return counter.Value{}, nil, err
	}
	s.met(v.Epoch)
	return v, applied, nil
}

func key(name string, op counter.Op) string { return name + "\x00" + op.ID }

// apply is what ops do to a value; known ones do nothing.
func apply(v counter.Value, list []counter.Op, known []bool) (_ counter.Value, applied []bool, err error) {
	applied = make([]bool, len(list))
	here := make(map[string]bool, len(list))
	for i, op := range list {
		if known[i] || here[op.ID] {
			continue
		}
		here[op.ID], applied[i] = true, true
		if v.N, err = counter.Step(v.N, op); err != nil {
			return counter.Value{}, nil, err
		}
		v.Version++
	}
	return v, applied, nil
}

// forget deletes ops by their keys.
func forget(table, keys js.Value) {
	for i := range keys.Length() {
		table.Call("delete", keys.Index(i))
	}
}

// value reads a counter's state out of two requests that have succeeded.
func value(epoch, record js.Value) (v counter.Value, err error) {
	e, r := epoch.Get("result"), record.Get("result")
	if e.Type() != js.TypeNumber {
		return v, errForeign
	}
	v.Epoch = uint64(e.Float())
	if r.IsUndefined() {
		return v, nil
	}
	if r.Type() != js.TypeObject {
		return v, errForeign
	}
	n, err := strconv.ParseInt(r.Get("n").String(), 10, 64)
	version, err2 := strconv.ParseUint(r.Get("v").String(), 10, 64)
	if err != nil || err2 != nil {
		return v, errForeign
	}
	v.N, v.Version = n, version
	return v, nil
}

// Get implements counter.Store.
func (s *Store) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	for _, name := range names {
		if !counter.ValidName(name) {
			return nil, counter.ErrBadName
		}
	}
	all := make([]counter.Value, len(names))
	err := s.transact(ctx, "readonly", func(tx js.Value) (func() error, []js.Value) {
		requests := []js.Value{tx.Call("objectStore", meta).Call("get", "epoch")}
		for _, name := range names {
			requests = append(requests, tx.Call("objectStore", values).Call("get", name))
		}
		return func() (err error) {
			for i, r := range requests[1:] {
				if all[i], err = value(requests[0], r); err != nil {
					return err
				}
			}
			return nil
		}, requests
	})
	if err != nil {
		return nil, err
	}
	if len(all) > 0 {
		s.met(all[0].Epoch)
	}
	return all, nil
}

// met remembers the latest epoch.
func (s *Store) met(epoch uint64) {
	for {
		latest := s.epoch.Load()
		if epoch <= latest || s.epoch.CompareAndSwap(latest, epoch) {
			return
		}
	}
}

// Close implements counter.Store.
func (s *Store) Close() error {
	c := <-s.conn
	c.end()
	s.conn <- connection{closed: true}
	return nil
}
