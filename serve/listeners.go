package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"lockstep/internal/limit"
)

// Listeners are the public ones of a process.
type Listeners struct {
	// Front is the balancer's; nil: there is none, and one replica.
	Front    net.Listener
	Replicas []net.Listener
}

// Listen takes all public addresses of a process before anything else is started: addr,
// "host:port", is that of one replica, or of the balancer in front of several, which are on the
// next ports; on the loopback only when the balancer speaks TLS, because nobody else may see what
// is not encrypted. An error is an *AddrError.
func Listen(ctx context.Context, addr string, replicas int, secure bool) (ls Listeners, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ls, &AddrError{Addr: addr, Err: err}
	}
	first, _ := strconv.Atoi(port) // names of services have no next port, and are one replica's
	n := replicas
	if n > 1 {
		n++
	}
	for i := range n {
		if i == 1 && secure {
			host = "localhost"
		}
		if first != 0 {
			port = strconv.Itoa(first + i)
		}
		l, err := listenTCP(ctx, net.JoinHostPort(host, port))
		if err != nil {
			ls.Close()
			return Listeners{}, suggestPort(ctx, err, addr, n)
		}
		ls.add(l, n > 1)
	}
	return ls, nil
}

// add adds a listener: the first of several is the balancer's.
func (ls *Listeners) add(l net.Listener, several bool) {
	if several && ls.Front == nil {
		ls.Front = l
		return
	}
	ls.Replicas = append(ls.Replicas, l)
}

// Close closes those that nothing is served on. Closing twice is harmless.
func (ls *Listeners) Close() {
	for _, l := range ls.all() {
		_ = l.Close() // nothing was served on it
	}
}

func (ls *Listeners) all() []net.Listener {
	if ls.Front == nil {
		return ls.Replicas
	}
	return append([]net.Listener{ls.Front}, ls.Replicas...)
}

// addrs returns where the replicas listen.
func (ls *Listeners) addrs() (texts []string) {
	for _, l := range ls.Replicas {
		texts = append(texts, l.Addr().String())
	}
	return texts
}

// listenTCP takes one address.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		host, _, _ := net.SplitHostPort(addr)
		return nil, &AddrError{Addr: addr, Try: net.JoinHostPort(host, "0") + ", which is any that is free", Err: err}
	}
	return l, nil
}

// An AddrError says why nobody can listen on an address.
type AddrError struct {
	Addr string
	// Try is what to try in its place, where another program has it.
	Try string
	Err error // of the system
}

// Error implements error.
func (e *AddrError) Error() string { return "serve: " + e.Say("") }

// Say is the error as a sentence, in which the flag stands that has said the address, "-addr"; "":
// none has.
func (e *AddrError) Say(flag string) string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("%s is in use by another program; try %s", e.Addr, strings.TrimSpace(flag+" "+e.Try))
	case errors.Is(e.Err, syscall.EACCES):
		return fmt.Sprintf("this user may not listen on %s; everybody may on ports from 1024 on", e.Addr)
	}
	return e.Err.Error()
}

// Unwrap returns the system's error.
func (e *AddrError) Unwrap() error { return e.Err }

// triedPorts is how many ports are tried to suggest one.
const triedPorts = 100

// suggestPort puts the next port into the error of one in use that is free, as well as the n-1
// behind it.
func suggestPort(ctx context.Context, err error, addr string, n int) error {
	inUse, ok := errors.AsType[*AddrError](err)
	host, port, _ := net.SplitHostPort(addr)
	first, _ := strconv.Atoi(port)
	if !ok || first == 0 || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	for other := first + n; other <= min(first+triedPorts, 65536-n); other++ {
		if free(ctx, host, other, n) {
			inUse.Try = net.JoinHostPort(host, strconv.Itoa(other))
			break
		}
	}
	return inUse
}

// free reports whether a program may listen on a port and the n-1 behind it.
func free(ctx context.Context, host string, first, n int) bool {
	var ls Listeners
	defer func() { ls.Close() }()
	for i := range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(first+i)))
		if err != nil {
			return false
		}
		ls.add(l, false)
	}
	return true
}

// HostPort is the name of a replica that was given none: the machine's name, and the port that it
// listens on.
func HostPort(addr string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "replica"
	}
	_, port, _ := net.SplitHostPort(addr)
	return host + ":" + port
}

// BehindBalancer returns whom a replica must trust as a proxy that listens at addr behind the
// balancer of its process, which comes from this machine.
func BehindBalancer(addr net.Addr) []netip.Prefix {
	trusted := limit.Loopback()
	if ap, err := netip.ParseAddrPort(addr.String()); err == nil && !ap.Addr().IsUnspecified() {
		a := ap.Addr().Unmap().WithZone("")
		trusted = append(trusted, netip.PrefixFrom(a, a.BitLen()))
	}
	return trusted
}

// pageURL is a listener's address as a person would type it.
func pageURL(l net.Listener, secure bool) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}
