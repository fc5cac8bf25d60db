package main

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// gobwasPeer is gobwas/ws as it is used for millions of connections: an
// upgrade without net/http, one goroutine that reads from all connections by
// epoll, and a loop that writes the same compiled frame to each.
type gobwasPeer struct {
	rooms int
	n     atomic.Int64
	epoll int

	mu    sync.RWMutex
	conns map[int]net.Conn // by descriptor
}

func newGobwas(rooms int) (subject, error) {
	epoll, err := syscall.EpollCreate1(0)
	if err != nil {
		return nil, fmt.Errorf("gobwas: epoll: %w", err)
	}
	return &gobwasPeer{rooms: rooms, epoll: epoll, conns: make(map[int]net.Conn)}, nil
}

func (p *gobwasPeer) serve(l net.Listener, ready func()) error {
	go p.read() // ends with the process
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with the upgrade
			if err := p.add(c); err != nil {
				_ = c.Close() // err says more
				return
			}
			ready()
		}()
	}
}

func (p *gobwasPeer) add(c net.Conn) error {
	if _, err := ws.Upgrade(c); err != nil {
		return err
	}
	fd, err := descriptor(c)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[fd] = c
	return syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLHUP, Fd: int32(fd)})
}

func (p *gobwasPeer) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.conns[fd]
	delete(p.conns, fd)
	_ = c.Close() // which also takes it out of the epoll
}

// descriptor returns the descriptor of a connection. It stays valid until the
// connection is closed.
func descriptor(c net.Conn) (fd int, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// read takes what the tabs send, and removes those that have gone.
func (p *gobwasPeer) read() {
	events := make([]syscall.EpollEvent, 100)
	for {
		n, err := syscall.EpollWait(p.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			return
		}
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			p.mu.RLock()
			c := p.conns[fd]
			p.mu.RUnlock()
			if _, _, err := wsutil.ReadClientData(c); err != nil {
				p.remove(fd)
			}
		}
	}
}

func (p *gobwasPeer) send(payload []byte) error {
	frame, err := ws.CompileFrame(ws.NewTextFrame(payload))
	if err != nil {
		return fmt.Errorf("gobwas: compile: %w", err)
	}
	for range p.rooms {
		p.broadcast(frame)
	}
	return nil
}

// broadcast writes in the caller's goroutine. A connection that fails is
// removed when it is read from.
func (p *gobwasPeer) broadcast(frame []byte) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	sent := int64(0)
	for _, c := range p.conns {
		if _, err := c.Write(frame); err == nil {
			sent++
		}
	}
	p.n.Add(sent)
}

func (p *gobwasPeer) sent() int64 { return p.n.Load() }

// wait has nothing to wait for: send has written.
func (p *gobwasPeer) wait() error { return nil }
