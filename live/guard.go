package live

import "slices"

// comparable returns those of the application's values that can be keys of a
// map, and are found again.
func (r *Runtime) comparable(values []any) []any {
	bad := slices.IndexFunc(values, func(v any) bool {
		same := false
		_ = r.guard.Call("Commit", func() { same = equal(v, v) }) // panics if it can't be compared
		return !same
	})
	if bad < 0 {
		return values
	}
	return append(slices.Clone(values[:bad]), r.comparable(values[bad+1:])...)
}

func equal(a, b any) bool { return a == b }
