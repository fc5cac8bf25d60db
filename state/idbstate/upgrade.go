//go:build js

package idbstate

import (
	"fmt"
	"strconv"
	"syscall/js"

	"lockstep/state"
)

// format is the version of the database. The first had counters, in stores
// "values" and "ops" beside "meta".
const format = 2

// fill makes what is in a database that is new, or of the first format.
func (o *opening) fill(old int) error {
	db := o.request.Get("result")
	if old == 0 {
		epoch := max(o.store.now().UnixMilli(), int64(o.store.epoch.Load())+1) //nolint:gosec // a time, which fits
		db.Call("createObjectStore", meta).Call("put", epoch, "epoch")
	} else if names := db.Get("objectStoreNames"); !names.Call("contains", "values").Bool() || !names.Call("contains", "ops").Bool() {
		return errForeign
	} else if o.store.counter == nil {
		return errFormer
	}
	db.Call("createObjectStore", topics)
	table := db.Call("createObjectStore", lanes)
	table.Call("createIndex", moved, moved)
	table.Call("createIndex", done, done)
	db.Call("createObjectStore", logs)
	if old > 0 {
		o.takeOver(db)
	}
	return nil
}

// takeOver makes records of counters of the first format, in the transaction of
// the upgrade: all of them, or none.
func (o *opening) takeOver(db js.Value) {
	values := o.request.Get("transaction").Call("objectStore", "values")
	names, records := values.Call("getAllKeys"), values.Call("getAll")
	o.moving = js.FuncOf(func(js.Value, []js.Value) any {
		o.try(func() error { return o.move(db, names.Get("result"), records.Get("result")) })
		return nil
	})
	records.Set("onsuccess", o.moving)
}

// move puts records in the place of counters, and removes what is left of them.
func (o *opening) move(db, names, records js.Value) error {
	table := o.request.Get("transaction").Call("objectStore", topics)
	for i := range names.Length() {
		name, record := names.Index(i).String(), records.Index(i)
		n, err := strconv.ParseInt(get(record, "n").String(), 10, 64)
		version, err2 := strconv.ParseUint(get(record, "v").String(), 10, 53)
		if err != nil || err2 != nil {
			return errForeign
		}
		topicName, data, err := o.become(name, n)
		if err != nil {
			return err
		}
		table.Call("add", topic{version: max(version, 1), data: data}.toJS(), topicKey(topicName))
	}
	db.Call("deleteObjectStore", "values")
	db.Call("deleteObjectStore", "ops")
	return nil
}

// become asks what becomes of a counter.
func (o *opening) become(name string, n int64) (topic string, data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("what the counter %q becomes: panic: %v", name, p)
		}
	}()
	topic, data = o.store.counter(name, n)
	if err := state.CheckTopic(topic); err != nil {
		return "", nil, fmt.Errorf("what the counter %q becomes: %w", name, err)
	}
	if len(data) == 0 || len(data) > state.MaxData {
		return "", nil, fmt.Errorf("what the counter %q becomes: %d bytes of data, and 1 to %d can be", name, len(data), state.MaxData)
	}
	return topic, data, nil
}
