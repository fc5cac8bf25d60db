package settings

import (
	"fmt"
	"net/netip"
	"time"

	"lockstep/internal/process"
	"lockstep/precondition"
	"lockstep/serve"
)

// Limits are what clients may take. A limit of 0 is none, but for MaxConns.
type Limits struct {
	MaxConns     int // 0: derived from the limit of open files
	ConnsPerAddr int
	Exempt       Networks
	TabRate      float64 // messages a second
	TabBurst     int
	AddrRate     float64 // messages a second
	AddrBurst    int
	AddrClicks   int     // within 15 minutes
	AddrLanes    int     // within a day
	AddrNames    int     // within a day
	AddrUploads  int     // within a day
	RequestRate  float64 // requests a second
	RequestBurst int
}

func (l *Limits) define(fs *Set) {
	d := serve.DefaultLimits()
	l.Exempt = Networks{words: "loopback", Prefixes: d.Exempt}
	fs.Group("Limits (0 is no limit)")
	fs.Count(&l.MaxConns, "max-conns", 0, "`number` of connections in all, tabs included, of all listeners of the process together; tabs may be nine tenths of them. With -replicas one that comes through the balancer counts as three. 0: nine tenths of the process's limit of open files, and no more than its memory limit has room for (10 KB each)")
	fs.Count(&l.ConnsPerAddr, "max-conns-per-addr", d.SocketsPerAddr, "`number` of tabs of one address, and of its other connections; at each replica")
	fs.List(&l.Exempt, "exempt", "`addresses` for which no limit of one address holds, written as those of -trusted-proxies; \"none\" for none")
	fs.Rate(&l.TabRate, "tab-rate", d.TabRate, "`messages` a second that one tab may send")
	fs.Count(&l.TabBurst, "tab-burst", d.TabBurst, "`messages` that it may send at once")
	fs.Rate(&l.AddrRate, "addr-rate", d.AddrRate, "`messages` a second of all tabs of one address")
	fs.Count(&l.AddrBurst, "addr-burst", d.AddrBurst, "`messages` that they may send at once")
	fs.Count(&l.AddrClicks, "clicks-per-addr", d.ClicksPerAddr, "`number` of clicks of one address that count within 15 minutes, half of them at once; at each replica")
	fs.Count(&l.AddrLanes, "lanes-per-addr", d.LanesPerAddr, "`number` of page loads of one address that may click within a day, half of them at once: the store knows each for -op-lifetime; at each replica")
	fs.Count(&l.AddrNames, "names-per-addr", d.NamesPerAddr, "`number` of new topics (counters, polls, lists …) that one address may make within a day, half of them at once; at each replica")
	fs.Count(&l.AddrUploads, "uploads-per-addr", d.UploadsPerAddr, "`number` of files that one address may begin to send within a day, half of them at once; at each replica")
	fs.Rate(&l.RequestRate, "request-rate", d.RequestRate, "HTTP `requests` a second of one address, those for websockets included")
	fs.Count(&l.RequestBurst, "request-burst", d.RequestBurst, "`requests` that it may send at once")
}

func (l *Limits) check() error {
	for name, n := range map[string]int{"max-conns": l.MaxConns, "max-conns-per-addr": l.ConnsPerAddr, "clicks-per-addr": l.AddrClicks, "lanes-per-addr": l.AddrLanes, "names-per-addr": l.AddrNames, "uploads-per-addr": l.AddrUploads} {
		if n < 0 {
			return Wrong("-%s: %d is negative", name, n)
		}
	}
	for _, b := range []struct {
		name  string
		rate  float64
		burst int
	}{{"tab", l.TabRate, l.TabBurst}, {"addr", l.AddrRate, l.AddrBurst}, {"request", l.RequestRate, l.RequestBurst}} {
		if !(b.rate >= 0) { // nor is it a NaN
			return Wrong("-%s-rate: %g is not a rate", b.name, b.rate)
		}
		if b.rate > 0 && b.burst < 1 {
			return Wrong("-%s-burst: at least 1, or -%s-rate 0 for no limit", b.name, b.name)
		}
	}
	return nil
}

// Connections is -max-conns, or what the limits of open files and of memory (in bytes) allow. 0 is
// no limit. It says if the flag allows more than they do.
func (l *Limits) Connections(files int, memory int64) (conns int, unmet []precondition.Unmet) {
	room := process.NewRoom(files, memory)
	if l.MaxConns == 0 {
		return room.Conns(), nil
	}
	if files > 0 && l.MaxConns > room.Files {
		unmet = append(unmet, precondition.Unmet{Name: "open_files",
			Text: fmt.Sprintf("-max-conns leaves little of the limit of open files, which is %d: no connection may be accepted, and broker and store not be reached; raise it (LimitNOFILE, ulimit -n) a fifth above -max-conns", files)})
	}
	if room.Memory > 0 && l.MaxConns > room.Memory {
		unmet = append(unmet, precondition.Unmet{Name: "memory_conns",
			Text: fmt.Sprintf("-max-conns allows more than the memory limit has room for, which is some %d of 10 KB: the kernel may end the process; lower it, or give it more memory", room.Memory)})
	}
	return l.MaxConns, unmet
}

// forServer is Edge.ForServer without the time limits.
func (l *Limits) forServer(conns, replicas int) serve.Limits {
	exempt := l.Exempt.Prefixes
	if exempt == nil {
		exempt = []netip.Prefix{} // nil would be the default
	}
	return serve.Limits{
		Sockets: tabShare(conns, replicas), SocketsPerAddr: OrNone(l.ConnsPerAddr), Exempt: exempt,
		TabRate: OrNone(l.TabRate), TabBurst: l.TabBurst, AddrRate: OrNone(l.AddrRate), AddrBurst: l.AddrBurst,
		ClicksPerAddr: OrNone(l.AddrClicks), LanesPerAddr: OrNone(l.AddrLanes), NamesPerAddr: OrNone(l.AddrNames),
		UploadsPerAddr: OrNone(l.AddrUploads),
		RequestRate:    OrNone(l.RequestRate), RequestBurst: l.RequestBurst,
	}
}

// tabShare is how many tabs one of several replicas may have, as package serve wants to hear it; 0
// connections is no limit.
func tabShare(conns, replicas int) int {
	if conns == 0 {
		return -1
	}
	return max(1, serve.TabsOf(conns)/replicas)
}

// OrNone says no limit as package serve wants to hear it: there 0 is the default.
func OrNone[T int | float64 | time.Duration](n T) T {
	if n == 0 {
		return -1
	}
	return n
}
