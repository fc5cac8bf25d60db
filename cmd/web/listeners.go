package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// publicListeners are the public ones of a process: that of its replica, or those of its replicas
// with the balancer's before them.
type publicListeners []net.Listener

// listenPublic takes all public addresses before anything else is started: addr is that of one
// replica, or of the balancer, whose replicas are on the next ports; on the loopback only when the
// balancer speaks TLS, because nobody else may see what is not encrypted.
func listenPublic(ctx context.Context, addr string, replicas int, secure bool) (ls publicListeners, err error) {
	host, port, _ := net.SplitHostPort(addr)
	first, _ := strconv.Atoi(port)
	n := replicas
	if n > 1 {
		n++
	}
	for i := range n {
		if i == 1 && secure {
			host = "localhost"
		}
		port := 0
		if first != 0 {
			port = first + i
		}
		l, err := listenTCP(ctx, "-addr", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			ls.close()
			return nil, suggestPort(ctx, err, addr, n)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// listenTCP takes an address that a flag has named.
func listenTCP(ctx context.Context, flag, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		host, _, _ := net.SplitHostPort(addr)
		return nil, &inUseError{flag, addr, net.JoinHostPort(host, "0") + ", which is any that is free"}
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: this user may not listen on %s; everybody may on ports from 1024 on", flag, addr)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return l, nil
}

// An inUseError says that another program has an address, and what to try in place of it.
type inUseError struct{ flag, addr, try string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("%s: %s is in use by another program; try %s %s", e.flag, e.addr, e.flag, e.try)
}

// triedPorts is how many ports are tried to suggest one.
const triedPorts = 100

// suggestPort puts the next port into the error of one in use that is free, as well as the n-1
// behind it.
func suggestPort(ctx context.Context, err error, addr string, n int) error {
	inUse, ok := errors.AsType[*inUseError](err)
	host, port, _ := net.SplitHostPort(addr)
	first, _ := strconv.Atoi(port)
	if !ok || first == 0 {
		return err
	}
	for other := first + n; other <= min(first+triedPorts, 65536-n); other++ {
		if free(ctx, host, other, n) {
			inUse.try = net.JoinHostPort(host, strconv.Itoa(other))
			break
		}
	}
	return inUse
}

// free reports whether a program may listen on a port and the n-1 behind it.
func free(ctx context.Context, host string, first, n int) bool {
	var ls publicListeners
	defer func() { ls.close() }()
	for i := range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(first+i)))
		if err != nil {
			return false
		}
		ls = append(ls, l)
	}
	return true
}

// split returns the balancer's listener, or nil, and those of the replicas.
func (ls publicListeners) split() (front net.Listener, replicas publicListeners) {
	if len(ls) == 1 {
		return nil, ls
	}
	return ls[0], ls[1:]
}

func (ls publicListeners) close() {
	for _, l := range ls {
		_ = l.Close() // nothing was served on it
	}
}

// addrs returns where they listen.
func (ls publicListeners) addrs() (texts []string) {
	for _, l := range ls {
		texts = append(texts, l.Addr().String())
	}
	return texts
}

// hostPort is the name of a replica that was given none.
func hostPort(addr net.Addr) string {
	host, err := os.Hostname()
	if err != nil {
		host = "replica"
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return host + ":" + port
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
