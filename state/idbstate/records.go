//go:build js

package idbstate

import (
	"syscall/js"
	"time"

	"lockstep/state"
)

// Object stores, and indexes of lanes.
const (
	meta   = "meta"   // "epoch" → milliseconds; "ages" → ages
	topics = "topics" // ":" topic → {v: version, n: entries ever, x: entries that are gone, d: data}
	lanes  = "lanes"  // client topic → {l: last, f: from, r: refused, moved or done: age}
	logs   = "logs"   // [":" topic, number] → entry
	moved  = "moved"
	done   = "done"
)

// A topic is what the store knows of one.
type topic struct {
	version, entries, trimmed uint64
	data                      []byte
}

// topicOf reads a topic out of a request that has succeeded.
func topicOf(request js.Value) (t topic, err error) {
	record := request.Get("result")
	if record.IsUndefined() {
		return t, nil
	}
	for key, n := range map[string]*uint64{"v": &t.version, "n": &t.entries, "x": &t.trimmed} {
		if *n, err = number(get(record, key)); err != nil {
			return t, err
		}
	}
	t.data, err = bytesOf(get(record, "d"))
	return t, err
}

func (t topic) toJS() map[string]any {
	record := map[string]any{"v": t.version, "n": t.entries, "x": t.trimmed}
	if len(t.data) > 0 {
		record["d"] = toJS(t.data)
	}
	return record
}

// ages are those of the whole database.
type ages struct{ moved, done state.Age }

// agesOf reads ages; none are the first.
func agesOf(record js.Value) (a ages, err error) {
	if record.IsUndefined() {
		return a, nil
	}
	var n [4]uint64
	for i, key := range []string{"moved", "movedSince", "done", "doneSince"} {
		if n[i], err = number(get(record, key)); err != nil {
			return a, err
		}
	}
	since := func(ms uint64) time.Time { return time.UnixMilli(int64(ms)) } //nolint:gosec // below 2^53
	return ages{state.Age{N: n[0], Since: since(n[1])}, state.Age{N: n[2], Since: since(n[3])}}, nil
}

func (a ages) toJS() map[string]any {
	since := func(t time.Time) int64 { return max(t.UnixMilli(), 0) }
	return map[string]any{"moved": a.moved.N, "movedSince": since(a.moved.Since), "done": a.done.N, "doneSince": since(a.done.Since)}
}

func entriesOf(request js.Value) ([][]byte, error) {
	list := request.Get("result")
	entries := make([][]byte, list.Length())
	for i := range entries {
		entry, err := bytesOf(list.Index(i))
		if err != nil || entry == nil {
			return nil, errForeign
		}
		entries[i] = entry
	}
	return entries, nil
}

// get returns a property of what should be an object.
func get(record js.Value, key string) js.Value {
	if record.Type() != js.TypeObject {
		return js.Null()
	}
	return record.Get(key)
}

// number reads what can be counted.
func number(v js.Value) (uint64, error) {
	if v.Type() != js.TypeNumber {
		return 0, errForeign
	}
	f := v.Float()
	n := uint64(f)
	if f < 0 || f > state.MaxSeq || float64(n) != f {
		return 0, errForeign
	}
	return n, nil
}

// bytesOf reads bytes; undefined is nil.
func bytesOf(v js.Value) ([]byte, error) {
	if v.IsUndefined() {
		return nil, nil
	}
	if !v.InstanceOf(js.Global().Get("Uint8Array")) {
		return nil, errForeign
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b, nil
}

func toJS(b []byte) js.Value {
	array := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(array, b)
	return array
}
