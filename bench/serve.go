package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A subject is what is measured: it accepts tabs and sends each payload to all
// of them.
type subject interface {
	// serve answers on l until it is closed, and calls ready for each tab that
	// will get what is sent.
	serve(l net.Listener, ready func()) error
	// send sends payload to every tab, once for each room that the tabs are in.
	// It may return before it has left.
	send(payload []byte) error
	// sent is how many deliveries have left, one for each tab and room; it must
	// be cheap.
	sent() int64
	// wait returns when all of what was sent has left.
	wait() error
}

// A greeter is a subject whose tabs have to say something first.
type greeter interface {
	// hello returns the messages that each tab sends when it is connected.
	hello() []string
}

// A greeting is the first line that a server process writes.
type greeting struct {
	Addr  string
	Hello []string
}

// A result is what a server process says of one phase.
type result struct {
	Deliveries int64 // that left in Seconds
	Settled    int64 // that had left when it was quiet again
	Seconds    float64
	User, Sys  float64 // CPU seconds; of the process so far in the answer to "usage"
	RSS        float64 // KB
	Mallocs    uint64
}

// serve runs one subject and obeys the commands on standard input, with one
// line of JSON for each.
func serve(s subject) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var ready atomic.Int64
	go func() { _ = s.serve(l, func() { ready.Add(1) }) }() // the process ends with its input
	g := greeting{Addr: l.Addr().String()}
	if s, ok := s.(greeter); ok {
		g.Hello = s.hello()
	}
	if err := json.NewEncoder(os.Stdout).Encode(g); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command, arg, _ := strings.Cut(in.Text(), " ")
		n, _ := strconv.ParseFloat(arg, 64)
		var r result
		switch command {
		case "ready":
			for ready.Load() < int64(n) {
				time.Sleep(10 * time.Millisecond)
			}
		case "usage":
			r.User, r.Sys = usage()
		case "memory":
			r.RSS = memory()
		case "flood":
			r, err = flood(s, time.Duration(n*float64(time.Second)))
		case "updates":
			r, err = updates(s, n)
		case "paced":
			err = paced(s, time.Duration(n*float64(time.Second)))
		}
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// memory returns the resident set in KB after what can be given back has been.
func memory() float64 {
	for range 2 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	return resident("self")
}

// resident is the resident set of a process in KB, 0 if there is none.
func resident(process string) float64 {
	raw, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0
	}
	_, rest, found := strings.Cut(string(raw), "VmRSS:")
	if !found {
		return 0 // it has ended
	}
	fields := strings.Fields(rest)
	kb, _ := strconv.ParseFloat(fields[0], 64)
	return kb
}

// flood sends as fast as everything leaves.
func flood(s subject, d time.Duration) (r result, err error) {
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	from := s.sent()
	user, sys := usage()
	began := time.Now()
	for time.Since(began) < d {
		if err := s.send(stamped()); err != nil {
			return r, err
		}
		if err := s.wait(); err != nil {
			return r, err
		}
	}
	r.Seconds = time.Since(began).Seconds()
	r.User, r.Sys = usage()
	r.User, r.Sys = r.User-user, r.Sys-sys
	r.Deliveries = s.sent() - from
	runtime.ReadMemStats(&m1)
	r.Mallocs = m1.Mallocs - m0.Mallocs
	r.Settled = settled(s) - from
	return r, nil
}

// settled returns how many deliveries have left when no more do.
func settled(s subject) int64 {
	for {
		n := s.sent()
		time.Sleep(200 * time.Millisecond)
		if s.sent() == n {
			return n
		}
	}
}

// paced sends ten times a second, or as often as everything leaves.
func paced(s subject, d time.Duration) error {
	for began := time.Now(); time.Since(began) < d; {
		next := time.Now().Add(100 * time.Millisecond)
		if err := s.send(stamped()); err != nil {
			return err
		}
		if err := s.wait(); err != nil {
			return err
		}
		time.Sleep(time.Until(next))
	}
	return nil
}

// usage returns the CPU seconds that the process has used.
func usage() (user, sys float64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return float64(u.Utime.Nano()) / 1e9, float64(u.Stime.Nano()) / 1e9
}

// payloadSize is the fragment that all subjects send, in bytes.
const payloadSize = 220

// sentinel is in every payload once, before the time it was made at: 19 digits.
const sentinel = '|'

// stamped returns a payload with the time.
func stamped() []byte {
	p := make([]byte, 0, payloadSize)
	p = append(p, `<div id="counter" data-at="`...)
	p = append(p, sentinel)
	p = append(p, fmt.Sprintf("%019d", monotonic())...)
	p = append(p, `">`...)
	for len(p) < payloadSize-6 {
		p = append(p, 'x')
	}
	return append(p, `</div>`...)
}

// monotonic is a clock that two processes share, in ns.
func monotonic() int64 {
	var ts syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(ptr(&ts)), 0)
	return ts.Nano()
}
