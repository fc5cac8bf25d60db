package main

import (
	"net"
	"strconv"
	"time"

	"lockstep/serve"
	"lockstep/serve/settings"
)

// replicaFlags say how many replicas the process runs, and how tabs move between replicas.
type replicaFlags struct {
	Replica   string // "" means the host name and port
	Replicas  int
	Drain     time.Duration
	Rebalance float64 // tabs a second
	Fresh     time.Duration
	Break     string // auto, on or off
}

func (r *replicaFlags) define(fs *settings.Set) {
	fs.Group("Replicas")
	fs.Text(&r.Replica, "replica", "", "`name` of this replica on the page. Default: host name and port")
	fs.Count(&r.Replicas, "replicas", 1, "`number` of replicas to run in this process behind a balancer")
	fs.Span(&r.Drain, "drain", serve.DefaultListenOptions().Drain, "longest `time` over which tabs are sent to other replicas at shutdown")
	fs.Span(&r.Fresh, "fresh", 15*time.Second, "longest `time` since the store was asked for what tabs are shown; beyond it the replica says that it is degraded. 0: nothing is promised")
	fs.Text(&r.Break, "break", "auto", "`who` may break the replicas of this process on purpose, on the pages of its counters: on, everybody who can open them; off, nobody; auto, with -replicas, those on this machine, where -addr is one of this machine alone and nothing says that there is a proxy")
	fs.Rate(&r.Rebalance, "rebalance", 20, "`tabs` a second that a replica with more than the others sends to them by way of the balancer, until they are even; 0: never")
}

func (r *replicaFlags) check() error {
	switch {
	case r.Replicas < 1 || r.Replicas > serve.MaxReplicas:
		return settings.Wrong("-replicas: %d is not between 1 and %d", r.Replicas, serve.MaxReplicas)
	case r.Break != "auto" && r.Break != "on" && r.Break != "off":
		return settings.Wrong("-break: there are auto, on and off")
	case r.Break == "on" && r.Replicas == 1:
		return settings.Wrong("-break: with one replica there is nothing left when it is broken; -replicas 3 has more")
	case r.Drain < 0:
		return settings.Wrong("-drain: %s is negative", r.Drain)
	case r.Fresh < 0:
		return settings.Wrong("-fresh: %s is negative", r.Fresh)
	case !(r.Rebalance >= 0): // nor is it a NaN
		return settings.Wrong("-rebalance: %g is not a rate", r.Rebalance)
	}
	return nil
}

// name is the name of the replica with index i, which listens at an address.
func (r *replicaFlags) name(i int, at net.Addr) string {
	switch {
	case r.Replica == "":
		return serve.HostPort(at.String())
	case r.Replicas == 1:
		return r.Replica
	}
	return r.Replica + "-" + strconv.Itoa(i+1)
}
