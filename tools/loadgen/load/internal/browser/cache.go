package browser

import (
	"bytes"

	"lockstep/tools/loadgen/load/protocol"
)

// A cache has the last messages that were parsed: a server sends the same bytes to thousands of
// tabs, and only the first needs to be parsed. Comparing costs some nanoseconds, because messages
// that differ do so within their first hundred bytes as a rule.
type cache struct {
	entries [cached]entry
	next    int
}

// cached is how many messages are kept: enough for some replicas and some counters.
const cached = 16

type entry struct {
	bytes   []byte
	message *protocol.Message
}

// get returns the message that was parsed from the same bytes, or nil.
func (c *cache) get(b []byte) *protocol.Message {
	// The newest is the most likely, so it comes first.
	for i := 1; i <= cached; i++ {
		e := &c.entries[(c.next+cached-i)%cached]
		if bytes.Equal(e.bytes, b) {
			return e.message
		}
	}
	return nil
}

// put keeps the message that b was parsed to. It copies b.
func (c *cache) put(b []byte, m *protocol.Message) {
	e := &c.entries[c.next]
	e.bytes = append(e.bytes[:0], b...)
	e.message = m
	c.next = (c.next + 1) % cached
}
