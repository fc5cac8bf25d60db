package boltstate

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"lockstep/state"
)

// tables are the buckets of the file. Numbers are varints where nothing is said.
//
//	meta    "format" and "epoch" (8 bytes each), "ages", "sweep"
//	topics  name                -> id, version, gone, last, data
//	lanes   id, client          -> last, last-from, mark, refused
//	log     id, number (8 bytes) -> entry
//
// A topic's id says which of all topics was written first, second and so on. It
// is shorter than the name, so that lanes are short, and what belongs to a topic
// is in one place of the file. No varint is the beginning of another: so between
// the keys of a topic are none of another.
type tables struct{ meta, topics, lanes, log *bbolt.Bucket }

func tablesOf(tx *bbolt.Tx) tables {
	return tables{tx.Bucket([]byte("meta")), tx.Bucket([]byte("topics")), tx.Bucket([]byte("lanes")), tx.Bucket([]byte("log"))}
}

// A topic is what the file has of one. The zero topic was never written.
type topic struct {
	id, version uint64
	gone, last  uint64 // numbers of log entries: the last that is not known any more, and the newest
	data        []byte // of the transaction
}

func (t tables) topic(name string) (topic, error) {
	v, data, err := unpack(t.topics.Get([]byte(name)), 4)
	return topic{v[0], v[1], v[2], v[3], data}, err
}

func (t tables) putTopic(name string, top topic) error {
	return t.topics.Put([]byte(name), pack(top.data, top.id, top.version, top.gone, top.last))
}

func laneKey(id uint64, client state.Client) []byte { return pack(client[:], id) }

// known returns the lane with a key. One that is due is none, though it may be
// in the file still.
func (t tables) known(key []byte, now ages) (l state.Lane, known bool, err error) {
	raw := t.lanes.Get(key)
	v, refused, err := unpack(raw, 3)
	if raw == nil || err != nil || !now.knows(v[2]) {
		return state.Lane{}, false, err
	}
	return state.Lane{Last: v[0], From: v[0] - v[1], Refused: refused}, true, nil
}

func (t tables) putLane(key []byte, l state.Lane, mark uint64) error {
	return t.lanes.Put(key, pack(l.Refused, l.Last, l.Last-l.From, mark))
}

func logKey(id, number uint64) []byte { return binary.BigEndian.AppendUint64(pack(nil, id), number) }

// entries returns log entries as state.Store's Entries does.
func (t tables) entries(name string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	top, err := t.topic(name)
	if err != nil || after >= top.last || most <= 0 {
		return after + 1, nil, err
	}
	first = max(after, top.gone) + 1
	c := t.log.Cursor()
	k, v := c.Seek(logKey(top.id, first))
	for n := first; n <= top.last && len(entries) < most; n++ {
		if !bytes.Equal(k, logKey(top.id, n)) {
			return 0, nil, errNotOurs
		}
		entries = append(entries, bytes.Clone(v))
		k, v = c.Next()
	}
	return first, entries, nil
}

// trimMost is how many log entries one step deletes at most: more than it adds,
// so they never pile up when a log is to be kept shorter than before.
const trimMost = 2 * state.MaxLog

// append adds entries to the log of a topic, and lets go of those that need not
// stay; keep 0 lets none go.
func (t tables) append(top *topic, entries [][]byte, keep uint64) error {
	for _, entry := range entries {
		top.last++
		if err := t.log.Put(logKey(top.id, top.last), entry); err != nil {
			return err
		}
	}
	if keep > 0 && top.last > keep {
		top.gone = max(top.gone, top.last-keep)
	}
	if top.gone == 0 {
		return nil
	}
	var gone [][]byte
	c, end := t.log.Cursor(), logKey(top.id, top.gone)
	for k, _ := c.Seek(logKey(top.id, 0)); k != nil && bytes.Compare(k, end) <= 0 && len(gone) < trimMost; k, _ = c.Next() {
		gone = append(gone, k)
	}
	return deleteAll(t.log, gone)
}

// deleteAll deletes keys, which a cursor found: it must not go on meanwhile.
func deleteAll(b *bbolt.Bucket, keys [][]byte) error {
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// pack returns numbers as varints, and what is to stand behind them.
func pack(behind []byte, numbers ...uint64) []byte {
	raw := make([]byte, 0, len(numbers)*binary.MaxVarintLen64+len(behind))
	for _, n := range numbers {
		raw = binary.AppendUvarint(raw, n)
	}
	return append(raw, behind...)
}

// unpack returns n numbers, and what stands behind them. What is nil, because it
// is not in the file, has zeros.
func unpack(raw []byte, n int) (numbers [4]uint64, behind []byte, err error) {
	for i := 0; i < n && raw != nil; i++ {
		number, size := binary.Uvarint(raw)
		if size <= 0 {
			return numbers, nil, errNotOurs
		}
		numbers[i], raw = number, raw[size:]
	}
	return numbers, raw, nil
}
