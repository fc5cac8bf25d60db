package pubsub

import (
	"sync"
	"time"
)

// sayInterval is the shortest time between two lines of the log about what may go
// on for long: messages without a valid signature, callbacks that panic.
const sayInterval = 10 * time.Second

// repeats counts what has happened since the log has said so.
type repeats struct {
	mu     sync.Mutex // guards the rest
	silent uint64
	said   time.Time
}

// add counts one, and returns how many the log is to speak of now; 0: none.
func (f *repeats) add(now time.Time) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent++
	if !f.said.IsZero() && now.Sub(f.said) < sayInterval {
		return 0
	}
	n := f.silent
	f.silent, f.said = 0, now
	return n
}

// forged takes note of a message that was dropped because no replica can have
// sent it, or one that does not sign or has other keys.
func (h *Hub) forged(topic string) {
	h.stats.forged.Add(1)
	if n := h.forgeries.add(time.Now()); n > 0 {
		h.log.Warn("messages without a valid signature dropped: somebody else publishes here, or a replica has other keys", "topic", topic, "messages", n)
	}
}
