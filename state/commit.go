package state

// A Commit is a step that was done, as BatcherOptions.Committed is told.
type Commit struct {
	Topic string
	// Record is what the step has made, with its Data.
	Record
	// State is what Kind.Read returns of Data; nil when they can't be read. It is not to be changed.
	State any
	// Base is what the step was computed from, without Data. It is zero when Committed is
	// called with a record that this batcher did not make just now: then there is no Change
	// and there are no Entries, though others may have changed the state and appended entries.
	Base Record
	// Change leads from the state of Base to State: see Kind.Diff and Kind.Apply. Nil: the kind has no
	// changes, or this one is not shorter than the state.
	Change []byte
	// Before is the state of Base, where there is a Change. It is not to be changed.
	Before any
	// Entries are those that the step has appended to the log, and First is the number of the
	// first one. Nil: it has appended none.
	First   uint64
	Entries [][]byte
	// From has the shares of the senders of the ops, nil for those without one. It is not kept.
	From []any
}
