package counter

import "math"

// Step is what an op does to a count: the new count, or ErrOverflow. Stores
// that compute in Go use it.
func Step(n int64, op Op) (int64, error) {
	if op.Kind == Reset {
		return 0, nil
	}
	d := op.Amount()
	if d > 0 && n > math.MaxInt64-d || d < 0 && n < math.MinInt64-d {
		return n, ErrOverflow
	}
	return n + d, nil
}

// Check returns nil, or why a call of Store.Apply is not valid. Every store
// begins with it.
func Check(name string, ops []Op) error {
	if !ValidName(name) {
		return ErrBadName
	}
	if len(ops) == 0 || len(ops) > MaxOps {
		return ErrBadOp
	}
	for _, op := range ops {
		if err := op.Valid(); err != nil {
			return err
		}
	}
	return nil
}
