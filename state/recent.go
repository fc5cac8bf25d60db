package state

import "sync"

// A recent remembers what was put or asked for last: at least most entries, and
// up to twice as many; or, if they have weights, about as many as weigh heavy
// together, and up to twice that. Its methods may be called concurrently.
type recent[K comparable, V any] struct {
	// set once
	most  int
	heavy int           // bytes
	weigh func(v V) int // nil: values weigh nothing

	mu       sync.Mutex // guards the rest
	now, old map[K]V
	weight   int // of now
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most: most}
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(k, v)
}

// keep is put. The caller holds mu.
func (r *recent[K, V]) keep(k K, v V) {
	was, known := r.now[k]
	if r.weigh != nil && known {
		r.weight -= r.weigh(was)
	}
	if r.now == nil || len(r.now) >= r.most || r.weigh != nil && r.weight >= r.heavy {
		r.now, r.old, r.weight = make(map[K]V), r.now, 0
	}
	r.now[k] = v
	if r.weigh != nil {
		r.weight += r.weigh(v)
	}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok = r.now[k]; ok {
		return v, true
	}
	if v, ok = r.old[k]; ok {
		r.keep(k, v) // it is in use
	}
	return v, ok
}

// change puts what f makes of the value of k, unless f says not to. f must not
// call the recent.
func (r *recent[K, V]) change(k K, f func(v V, ok bool) (V, bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.now[k]
	if !ok {
		v, ok = r.old[k]
	}
	if v, ok = f(v, ok); ok {
		r.keep(k, v)
	}
}

func (r *recent[K, V]) drop(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.now[k]; ok && r.weigh != nil {
		r.weight -= r.weigh(was)
	}
	delete(r.now, k)
	delete(r.old, k)
}
