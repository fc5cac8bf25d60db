package lockstep

import "lockstep/internal/callback"

// A guard is that of an application's callbacks.
type guard struct{ callback.Guard }

// validKey reports what ValidKey of a kind says of a key; nil is ValidKey of this package. A key
// with which it panics is none.
func (g *guard) validKey(valid func(key string) bool, key string) (ok bool) {
	if valid == nil {
		return ValidKey(key)
	}
	defer g.Caught("ValidKey", nil)
	return valid(key)
}
