package main

import (
	"strconv"
	"time"
)

const maxReplicas = 64

// replicaFlags say how many replicas the process runs, and how tabs move between replicas.
type replicaFlags struct {
	Replica   string // "" means the host name and port
	Replicas  int
	Drain     time.Duration
	Rebalance float64 // tabs a second
}

func (r *replicaFlags) define(fs *flagSet) {
	fs.group("Replicas")
	fs.text(&r.Replica, "replica", "", "`name` of this replica on the page. Default: host name and port")
	fs.count(&r.Replicas, "replicas", 1, "`number` of replicas to run in this process behind a balancer")
	fs.span(&r.Drain, "drain", 5*time.Second, "longest `time` over which tabs are sent to other replicas at shutdown")
	fs.rate(&r.Rebalance, "rebalance", 20, "`tabs` a second that a replica with more than the others sends to them by way of the balancer, until they are even; 0: never")
}

func (r *replicaFlags) check() error {
	switch {
	case r.Replicas < 1 || r.Replicas > maxReplicas:
		return usageError("-replicas: %d is not between 1 and %d", r.Replicas, maxReplicas)
	case r.Drain < 0:
		return usageError("-drain: %s is negative", r.Drain)
	case !(r.Rebalance >= 0): // nor is it a NaN
		return usageError("-rebalance: %g is not a rate", r.Rebalance)
	}
	return nil
}

// name is the name of the replica with index i; "" means the host name and port.
func (r *replicaFlags) name(i int) string {
	if r.Replica == "" || r.Replicas == 1 {
		return r.Replica
	}
	return r.Replica + "-" + strconv.Itoa(i+1)
}
