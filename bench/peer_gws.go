package main

import (
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/lxzan/gws"
)

// gwsPeer is lxzan/gws as its README uses it: an Upgrader in an HTTP server,
// ReadLoop in a goroutine so that the request can be collected, and a
// Broadcaster, which frames a message once and has each connection's queue
// write it.
type gwsPeer struct {
	gws.BuiltinEventHandler
	*pacer
	rooms int
	ready func()

	mu    sync.Mutex
	conns []*gws.Conn
}

func newGWS(rooms int) (subject, error) { return &gwsPeer{pacer: newPacer(), rooms: rooms}, nil }

func (p *gwsPeer) serve(l net.Listener, ready func()) error {
	p.ready = ready
	upgrader := gws.NewUpgrader(p, &gws.ServerOption{})
	return http.Serve(countingListener{l, p.pacer}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // ends with the connection
	}))
}

// OnOpen implements gws.Event.
func (p *gwsPeer) OnOpen(c *gws.Conn) {
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	p.ready()
}

// OnClose implements gws.Event.
func (p *gwsPeer) OnClose(c *gws.Conn, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(other *gws.Conn) bool { return other == c })
}

func (p *gwsPeer) send(payload []byte) error {
	for range p.rooms {
		p.broadcast(payload)
	}
	return nil
}

func (p *gwsPeer) broadcast(payload []byte) {
	b := gws.NewBroadcaster(gws.OpcodeText, payload)
	defer b.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ask(len(p.conns))
	for _, c := range p.conns {
		_ = b.Broadcast(c) // OnClose hears of it
	}
}
