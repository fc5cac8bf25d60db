package boltstate

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"lockstep/state"
)

// tables are the buckets of the file. Integers are varints where nothing is
// said.
//
//	meta    "format", "epoch", "ages", "sweep"
//	topics  name               -> id, version, first and last log entry, data
//	lanes   id, client         -> last, last-from, mark, refused
//	log     id, number (8 B)   -> entry
//
// A topic's id is the number of its first commit among those of all topics: it
// is short, so that lanes are, and keeps what belongs to a topic together in
// the file. No varint is the beginning of another: so no key of one topic is
// between those of another.
type tables struct{ meta, topics, lanes, log *bbolt.Bucket }

func tablesOf(tx *bbolt.Tx) tables {
	return tables{tx.Bucket([]byte("meta")), tx.Bucket([]byte("topics")), tx.Bucket([]byte("lanes")), tx.Bucket([]byte("log"))}
}

// A topic is what the file has of one. The zero topic was never written.
type topic struct {
	id, version uint64
	first, last uint64 // entries of the log that are known; first > last: none
	data        []byte // of the transaction
}

// topic returns what the file has of a topic.
func (t tables) topic(name string) (topic, error) {
	raw := t.topics.Get([]byte(name))
	if raw == nil {
		return topic{first: 1}, nil
	}
	v, data, err := varints(raw, 4)
	return topic{id: v[0], version: v[1], first: v[2], last: v[3], data: data}, err
}

func (t tables) putTopic(name string, top topic) error {
	raw := make([]byte, 0, 4*binary.MaxVarintLen64+len(top.data))
	for _, n := range []uint64{top.id, top.version, top.first, top.last} {
		raw = binary.AppendUvarint(raw, n)
	}
	return t.topics.Put([]byte(name), append(raw, top.data...))
}

// A lane is what the file has of one. A mark of 0 is that of no lane.
type lane struct {
	state.Lane
	mark mark
}

// laneKey returns the key of a lane.
func laneKey(id uint64, client state.Client) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64+len(client)), id), client[:]...)
}

// lane returns the lane with a key, whether it is known or due.
func (t tables) lane(key []byte) (lane, error) {
	raw := t.lanes.Get(key)
	if raw == nil {
		return lane{}, nil
	}
	return parseLane(raw)
}

func parseLane(raw []byte) (lane, error) {
	v, refused, err := varints(raw, 3)
	if err != nil {
		return lane{}, err
	}
	return lane{state.Lane{Last: v[0], From: v[0] - v[1], Refused: refused}, mark(v[2])}, nil
}

func (t tables) putLane(key []byte, l lane) error {
	raw := make([]byte, 0, 3*binary.MaxVarintLen64+len(l.Refused))
	for _, n := range []uint64{l.Last, l.Last - l.From, uint64(l.mark)} {
		raw = binary.AppendUvarint(raw, n)
	}
	return t.lanes.Put(key, append(raw, l.Refused...))
}

func logKey(id, number uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64+8), id), number)
}

// entries returns log entries as state.Store's Entries does.
func (t tables) entries(name string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	top, err := t.topic(name)
	if err != nil || after >= top.last {
		return after + 1, nil, err
	}
	first = max(after+1, top.first)
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
func (t tables) append(top *topic, entries [][]byte, keep int) error {
	for _, entry := range entries {
		top.last++
		if err := t.log.Put(logKey(top.id, top.last), entry); err != nil {
			return err
		}
	}
	if keep > 0 && top.last-top.first+1 > uint64(keep) {
		top.first = top.last - uint64(keep) + 1
	}
	return t.trim(top)
}

// trim deletes some of the entries that are not known any more.
func (t tables) trim(top *topic) error {
	if top.first == 1 {
		return nil
	}
	end := logKey(top.id, top.first)
	var gone [][]byte
	c := t.log.Cursor()
	for k, _ := c.Seek(logKey(top.id, 0)); k != nil && bytes.Compare(k, end) < 0 && len(gone) < trimMost; k, _ = c.Next() {
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

// varints reads n varints, and returns them with what is behind them.
func varints(raw []byte, n int) (v [4]uint64, rest []byte, err error) {
	for i := range n {
		x, size := binary.Uvarint(raw)
		if size <= 0 {
			return v, nil, errNotOurs
		}
		v[i], raw = x, raw[size:]
	}
	return v, raw, nil
}
