package boltstate

import (
	"time"

	"lockstep/state"
)

// lifetimes are how long lanes are known at least: after their last move, and
// after they were done.
type lifetimes struct{ lanes, done time.Duration }

// ages are those of the whole file. A lane is marked with twice the age of its
// last move, or with twice the age in which it was done and one more.
type ages struct{ lanes, done state.Age }

func (a ages) moved() uint64 { return a.lanes.N << 1 }
func (a ages) ended() uint64 { return a.done.N<<1 | 1 }

// knows reports whether a lane with a mark is to be known.
func (a ages) knows(mark uint64) bool {
	if mark&1 == 1 {
		return a.done.Knows(mark >> 1)
	}
	return a.lanes.Knows(mark >> 1)
}

// at returns the ages at a time.
func (a ages) at(now time.Time, life lifetimes) ages {
	return ages{a.lanes.At(now, life.lanes), a.done.At(now, life.done)}
}

// ages returns those of the last transaction.
func (t tables) ages() (ages, error) {
	v, _, err := unpack(t.meta.Get([]byte("ages")), 4)
	return ages{state.Age{N: v[0], Since: time.Unix(0, int64(v[1]))}, state.Age{N: v[2], Since: time.Unix(0, int64(v[3]))}}, err
}

func (t tables) putAges(a ages) error {
	return t.meta.Put([]byte("ages"), pack(nil, a.lanes.N, uint64(a.lanes.Since.UnixNano()), a.done.N, uint64(a.done.Since.UnixNano())))
}

// sweepMost is how many lanes a commit looks at, beside twice those that it
// made: so lanes that are due never pile up.
const sweepMost = 64

// sweep forgets lanes that are due. It goes through all lanes, some with each
// commit, once in each age. Where it is stands in the file: the ages in which it
// began, and the key to go on with; at the end none.
func (t tables) sweep(now ages, made int) error {
	began, next, err := unpack(t.meta.Get([]byte("sweep")), 2)
	if err != nil {
		return err
	}
	if ages := [4]uint64{now.lanes.N, now.done.N}; len(next) == 0 && began == ages {
		return nil // nothing is due before the next age
	} else if len(next) == 0 {
		began = ages
	}
	var due [][]byte
	c := t.lanes.Cursor()
	k, v := c.Seek(next)
	for most := sweepMost + 2*made; k != nil && most > 0; most-- {
		lane, _, err := unpack(v, 3)
		if err != nil {
			return err
		}
		if !now.knows(lane[2]) {
			due = append(due, k)
		}
		k, v = c.Next()
	}
	if err := t.meta.Put([]byte("sweep"), pack(k, began[0], began[1])); err != nil {
		return err
	}
	return deleteAll(t.lanes, due)
}
