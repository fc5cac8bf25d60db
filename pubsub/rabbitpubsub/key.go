package rabbitpubsub

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	maxKey  = 255 // bytes of a routing key: AMQP has no more
	shownOf = 150 // bytes of a topic that are shown before its hash
)

// key returns the routing key of a topic; different topics have different ones. As a rule it is the
// topic. One that begins with a percent sign gets another in front; of what would be too long there
// is a hash, with the topic's beginning behind it for people.
func key(topic string) string {
	k := topic
	if strings.HasPrefix(k, "%") {
		k = "%" + k
	}
	if len(k) <= maxKey {
		return k
	}
	hash := sha256.Sum256([]byte(topic))
	return "%~" + hex.EncodeToString(hash[:]) + ":" + strings.ToValidUTF8(topic[:shownOf], "")
}

// lostKey is the routing key of what a queue has dropped. It is no topic's.
func lostKey(queue string) string { return "%!" + queue }
