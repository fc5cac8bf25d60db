package boltstate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"lockstep/state"
)

// errFormer refuses a file of the first format.
var errFormer = errors.New("the file holds the counters of an earlier version of this program, and nothing says what becomes of them: set Options.Counter, or move the file away to begin anew")

// takeMost is how many counters one transaction makes records of.
const takeMost = 256

// A former is a counter of the first format: key, n and version of 8 bytes each.
// Beside the table "values" of these the format had "ops" and "expiry": what was
// known of ops, for 15 minutes.
type former struct {
	name    string
	n       int64
	version uint64
	topic   string
	data    []byte
}

// takeOver makes records of counters of the first format, some in each
// transaction, which also removes them: what a crash leaves goes on at the next
// start.
func (s *Store) takeOver(counter func(string, int64) (string, []byte)) error {
	for {
		counters, err := s.formers()
		if err != nil {
			return err
		}
		for i := range counters {
			if err := counters[i].become(counter); err != nil {
				return err
			}
		}
		if err := s.db.Update(func(tx *bbolt.Tx) error { return moveFormers(tx, counters) }); err != nil || len(counters) == 0 {
			return err
		}
	}
}

// formers returns some counters of the first format; none when all have moved.
func (s *Store) formers() (counters []former, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte("values")).Cursor()
		for k, v := c.First(); k != nil && len(counters) < takeMost; k, v = c.Next() {
			if len(v) != 16 {
				return errNotOurs
			}
			n, version := int64(binary.BigEndian.Uint64(v)), binary.BigEndian.Uint64(v[8:])
			counters = append(counters, former{name: string(k), n: n, version: max(version, 1)})
		}
		return nil
	})
	return counters, err
}

// become asks what becomes of a counter.
func (f *former) become(counter func(string, int64) (string, []byte)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("what the counter %q becomes: panic: %v", f.name, p)
		}
	}()
	f.topic, f.data = counter(f.name, f.n)
	if err := state.CheckTopic(f.topic); err != nil {
		return fmt.Errorf("what the counter %q becomes: %w", f.name, err)
	}
	if len(f.data) == 0 || len(f.data) > state.MaxData {
		return fmt.Errorf("what the counter %q becomes: %d bytes of data, and 1 to %d can be", f.name, len(f.data), state.MaxData)
	}
	return nil
}

// moveFormers puts records in the place of counters. Without counters it removes
// what is left of the first format.
func moveFormers(tx *bbolt.Tx, counters []former) error {
	if len(counters) == 0 {
		return errors.Join(tx.DeleteBucket([]byte("values")), deleteIfThere(tx, "ops"), deleteIfThere(tx, "expiry"))
	}
	t, values := tablesOf(tx), tx.Bucket([]byte("values"))
	for _, f := range counters {
		if t.topics.Get([]byte(f.topic)) != nil {
			return fmt.Errorf("what the counter %q becomes: the topic %q, as another", f.name, f.topic)
		}
		id, err := t.topics.NextSequence()
		if err != nil {
			return err
		}
		if err := t.putTopic(f.topic, topic{id: id, version: f.version, data: f.data}); err != nil {
			return err
		}
		if err := values.Delete([]byte(f.name)); err != nil {
			return err
		}
	}
	return nil
}

func deleteIfThere(tx *bbolt.Tx, name string) error {
	if err := tx.DeleteBucket([]byte(name)); !errors.Is(err, bbolterrors.ErrBucketNotFound) {
		return err
	}
	return nil
}
