package redispubsub

// Tags returns what channels of each partition begin with, and slots where each is.
func Tags() (tags []string, slots []int) {
	for _, p := range newPartitions() {
		tags, slots = append(tags, p.tag), append(slots, p.slot)
	}
	return tags, slots
}

// ChannelOf returns the channel of a topic in a cluster.
func ChannelOf(topic string) string { return newPartitions()[partitionOf(topic)].tag + topic }
