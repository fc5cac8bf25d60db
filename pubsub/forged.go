package pubsub

import "time"

// forged takes note of a message that was dropped because no replica can have
// sent it, or one that does not sign or has other keys.
func (h *Hub) forged(topic string) {
	h.stats.forged.Add(1)
	h.opts.OnForged(topic)
	if n := h.forgeries.Add(time.Now()); n > 0 {
		h.log.Warn("messages without a valid signature dropped: somebody else publishes here, or a replica has other keys", "topic", topic, "messages", n)
	}
}
