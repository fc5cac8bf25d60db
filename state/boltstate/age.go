package boltstate

import (
	"encoding/binary"
	"time"

	"lockstep/state"
)

// A lifetimes is how long lanes are known at least: after their last move, and
// after they were done.
type lifetimes struct{ lanes, done time.Duration }

// ages are those of the whole file.
type ages struct{ lanes, done state.Age }

// A mark says in which age a lane was moved last (twice the age) or was done
// (twice the age and one). Ages begin with 1.
type mark uint64

func (a ages) moved() mark { return mark(a.lanes.N << 1) }
func (a ages) ended() mark { return mark(a.done.N<<1 | 1) }

// knows reports whether a lane with a mark is to be known.
func (a ages) knows(m mark) bool {
	if m&1 == 1 {
		return a.done.Knows(uint64(m >> 1))
	}
	return m > 0 && a.lanes.Knows(uint64(m>>1))
}

// at returns the ages at a time.
func (a ages) at(now time.Time, life lifetimes) ages {
	return ages{a.lanes.At(now, life.lanes), a.done.At(now, life.done)}
}

// ages returns those of the last commit; of a new file, ages that have passed.
func (t tables) ages() (a ages, err error) {
	raw := t.meta.Get([]byte("ages"))
	if raw == nil {
		return ages{}, nil
	}
	if len(raw) != 32 {
		return a, errNotOurs
	}
	for i, age := range []*state.Age{&a.lanes, &a.done} {
		age.N = binary.BigEndian.Uint64(raw[16*i:])
		age.Since = time.Unix(0, int64(binary.BigEndian.Uint64(raw[16*i+8:])))
	}
	return a, nil
}

func (t tables) putAges(a ages) error {
	var raw []byte
	for _, age := range []state.Age{a.lanes, a.done} {
		raw = binary.BigEndian.AppendUint64(raw, age.N)
		raw = binary.BigEndian.AppendUint64(raw, uint64(age.Since.UnixNano()))
	}
	return t.meta.Put([]byte("ages"), raw)
}

// sweepMost is how many lanes a commit looks at, beside twice those that it
// made: so lanes that are due never pile up.
const sweepMost = 64

// sweep forgets lanes that are due. It goes through all lanes, some with each
// commit, once in each age. Where it is stands in the file: the ages in which it
// began, and the key to go on with; at the end none.
func (t tables) sweep(a ages, made int) error {
	var began [4]uint64
	var next []byte
	if raw := t.meta.Get([]byte("sweep")); raw != nil {
		var err error
		if began, next, err = varints(raw, 2); err != nil {
			return err
		}
	}
	now := [4]uint64{a.lanes.N, a.done.N}
	if len(next) == 0 && began == now {
		return nil // nothing is due until an age has passed
	}
	if len(next) == 0 {
		began = now
	}
	due, next, err := t.due(a, next, sweepMost+2*made)
	if err != nil {
		return err
	}
	if err := deleteAll(t.lanes, due); err != nil {
		return err
	}
	raw := binary.AppendUvarint(binary.AppendUvarint(nil, began[0]), began[1])
	return t.meta.Put([]byte("sweep"), append(raw, next...))
}

// due looks at most lanes, from a key on. It returns the keys of those that are
// due, and the key behind them; none at the end.
func (t tables) due(a ages, from []byte, most int) (due [][]byte, next []byte, err error) {
	c := t.lanes.Cursor()
	k, v := c.Seek(from)
	for ; k != nil && most > 0; most-- {
		l, err := parseLane(v)
		if err != nil {
			return nil, nil, err
		}
		if !a.knows(l.mark) {
			due = append(due, k)
		}
		k, v = c.Next()
	}
	return due, k, nil
}
