package redispubsub

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// partitions is how many parts all topics are in, where a cluster broadcasts by
// shard. Each part is in one slot, so that there are few to know, and they are
// spread over all slots, so that nodes with as many slots have as many parts. It
// never changes: all replicas must agree on it.
const partitions = 64

// slots is how many a Redis Cluster has.
const slots = 16384

// A partition is the part of the topics that is in one slot.
type partition struct {
	tag  string // what channels begin with: "{n}"
	slot int
}

// newPartitions returns all: part i has the first number whose slot is in the
// i-th of as many pieces of the slots.
func newPartitions() []partition {
	all := make([]partition, partitions)
	for n, found := 0, 0; found < partitions; n++ {
		name := strconv.Itoa(n)
		slot := slotOf(name)
		p := &all[slot/(slots/partitions)]
		if p.tag == "" {
			*p = partition{"{" + name + "}", slot}
			found++
		}
	}
	return all
}

// partitionOf returns the number of the part that a topic is in.
func partitionOf(topic string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(topic)) // it does not fail
	return int(h.Sum32() % partitions)
}

// topicOf returns the topic of a channel.
func topicOf(channel string) string {
	_, topic, _ := strings.Cut(channel, "}")
	return topic
}

// slotOf is Redis's hash of what stands in braces: CRC16 (XMODEM) of it.
func slotOf(name string) int {
	var crc uint16
	for _, b := range []byte(name) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % slots
}
