package redisstate

import "time"

// Shift moves the clock of the server, as this store sees it.
func (s *Store) Shift(d time.Duration) { s.ahead.Add(d.Milliseconds()) }
