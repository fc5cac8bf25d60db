package live

// Known returns the state of key as its room here shows it, without asking the store; false: there
// is no room, or it has no state yet. It may be what a broadcast alone has said.
func (rs *Rooms[S]) Known(key string) (s S, known bool) {
	r := rs.room(key)
	if r == nil {
		return s, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq == 0 {
		return s, false
	}
	return r.known.state, true
}
