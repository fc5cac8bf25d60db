package redispubsub

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// A layout is which master has which partition, as all nodes must have it. It
// does not change: when it is another one the conn has ended.
type layout struct {
	parts  []partition
	owners []string // ids of the masters, by partition
}

// readLayout reads the answer to CLUSTER SLOTS.
func readLayout(parts []partition, shown *redis.ClusterSlotsCmd) (*layout, error) {
	ranges, err := shown.Result()
	if err != nil {
		return nil, err
	}
	l := &layout{parts, make([]string, len(parts))}
	for _, r := range ranges {
		for i, p := range parts {
			if len(r.Nodes) > 0 && r.Start <= p.slot && p.slot <= r.End {
				l.owners[i] = r.Nodes[0].ID
			}
		}
	}
	for i, id := range l.owners {
		if id == "" {
			return nil, fmt.Errorf("slot %d of the cluster is nobody's", parts[i].slot)
		}
	}
	return l, nil
}

// agrees returns nil if a node's answer to CLUSTER SLOTS is this layout.
func (l *layout) agrees(shown *redis.ClusterSlotsCmd) error {
	now, err := readLayout(l.parts, shown)
	if err != nil {
		return err
	}
	for i, id := range now.owners {
		if id != l.owners[i] {
			return errMoved
		}
	}
	return nil
}

// errNotOwner means that where a client of a cluster leads is not where the
// cluster says: it has heard of a change, and others have not.
var errNotOwner = errors.New("the nodes of the cluster do not agree on which of them has what")

// owns returns nil if the master of some id has exactly these of the partitions.
func (l *layout) owns(id string, these []int) error {
	for _, i := range these {
		if l.owners[i] != id {
			return errNotOwner
		}
	}
	return nil
}
