package natsstate

import "time"

// Shift moves the server's clock, as the store sees it.
func (s *Store) Shift(d time.Duration) { s.ahead.Add(int64(d)) }
