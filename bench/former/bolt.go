package former

import (
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// pruneMost is how many forgotten ops one Apply deletes at most.
const pruneMost = 2 * maxOps

// A Bolt is a Store in a file.
type Bolt struct {
	db    *bbolt.DB
	epoch uint64
}

// buckets are the tables of the file. A key of ops is name, NUL, op id and
// leads to its expiry; keys of expiry begin with the time, so the oldest come
// first.
type buckets struct{ values, ops, expiry *bbolt.Bucket }

// OpenBolt makes a store in the file at path, which is not there yet.
func OpenBolt(path string) (*Bolt, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	return &Bolt{db, uint64(time.Now().UnixMilli())}, db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"values", "ops", "expiry"} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Apply implements Store: one transaction, on disk when it returns.
func (s *Bolt) Apply(ctx context.Context, name string, ops ...Op) (v Value, applied []bool, err error) {
	if err := check(name, ops); err != nil {
		return v, nil, err
	}
	err = s.db.Update(func(tx *bbolt.Tx) (err error) {
		// Update waits for its turn: the caller may have gone meanwhile.
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buckets{tx.Bucket([]byte("values")), tx.Bucket([]byte("ops")), tx.Bucket([]byte("expiry"))}
		v, applied, err = s.apply(b, name, ops, time.Now())
		return err
	})
	return v, applied, err
}

func (s *Bolt) apply(b buckets, name string, ops []Op, now time.Time) (Value, []bool, error) {
	if err := b.prune(now); err != nil {
		return Value{}, nil, err
	}
	v := Value{Epoch: s.epoch}
	if raw := b.values.Get([]byte(name)); raw != nil {
		v.N, v.Version = int64(binary.BigEndian.Uint64(raw)), binary.BigEndian.Uint64(raw[8:])
	}
	applied := make([]bool, len(ops))
	for i, op := range ops {
		id := []byte(name + "\x00" + op.ID)
		if b.ops.Get(id) != nil {
			continue
		}
		v.N, v.Version = v.N+1, v.Version+1
		applied[i] = true
		if err := b.remember(id, now.Add(window)); err != nil {
			return Value{}, nil, err
		}
	}
	raw := binary.BigEndian.AppendUint64(nil, uint64(v.N))
	return v, applied, b.values.Put([]byte(name), binary.BigEndian.AppendUint64(raw, v.Version))
}

// remember records an op.
func (b buckets) remember(id []byte, until time.Time) error {
	due := binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano()))
	if err := b.ops.Put(id, due); err != nil {
		return err
	}
	return b.expiry.Put(append(due[:8:8], id...), []byte{})
}

// prune forgets the oldest ops whose time has come.
func (b buckets) prune(now time.Time) error {
	c := b.expiry.Cursor()
	for range pruneMost {
		k, _ := c.First()
		if k == nil || int64(binary.BigEndian.Uint64(k)) > now.UnixNano() {
			return nil
		}
		if err := b.ops.Delete(k[8:]); err != nil {
			return err
		}
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Store.
func (s *Bolt) Close() error { return s.db.Close() }
