package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Limits of gorilla's chat example. The pings, every 54 s there, are left out
// for all subjects.
const (
	gorillaWriteWait   = 10 * time.Second
	gorillaMaxMessage  = 512 // bytes
	gorillaSendChannel = 256
)

// gorillaPeer is gorilla/websocket as its chat example uses it: a hub, and for
// each tab a channel, a goroutine that reads and one that writes. The hub's
// messages are prepared ones, framed once for all tabs, and the write buffers
// come from a pool, both as the documentation has it. What has queued for a
// tab goes out as one message, as in the example.
type gorillaPeer struct {
	*pacer
	rooms    int
	upgrader websocket.Upgrader
	tabs     atomic.Int64 // len(clients), for the sender

	broadcast  chan gorillaMessage
	register   chan *gorillaClient
	unregister chan *gorillaClient

	clients map[*gorillaClient]struct{} // owned by run
}

type gorillaMessage struct {
	prepared *websocket.PreparedMessage // to go out alone
	line     []byte                     // to go out with others: after a newline
}

type gorillaClient struct {
	hub  *gorillaPeer
	conn *websocket.Conn
	send chan gorillaMessage
}

func newGorilla(rooms int) (subject, error) {
	return &gorillaPeer{
		pacer: newPacer(),
		rooms: rooms,
		upgrader: websocket.Upgrader{
			ReadBufferSize: 1024, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{},
		},
		broadcast:  make(chan gorillaMessage),
		register:   make(chan *gorillaClient),
		unregister: make(chan *gorillaClient),
		clients:    make(map[*gorillaClient]struct{}),
	}, nil
}

func (p *gorillaPeer) serve(l net.Listener, ready func()) error {
	go p.run(ready) // ends with the process
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := p.upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &gorillaClient{hub: p, conn: conn, send: make(chan gorillaMessage, gorillaSendChannel)}
		p.register <- c
		go c.writePump() // both end with the connection
		go c.readPump()
	}))
}

// run is the hub. A client whose channel is full is dropped.
func (p *gorillaPeer) run(ready func()) {
	for {
		select {
		case c := <-p.register:
			p.clients[c] = struct{}{}
			p.tabs.Add(1)
			ready()
		case c := <-p.unregister:
			p.drop(c)
		case m := <-p.broadcast:
			for c := range p.clients {
				select {
				case c.send <- m:
				default:
					p.drop(c)
				}
			}
		}
	}
}

func (p *gorillaPeer) drop(c *gorillaClient) {
	if _, ok := p.clients[c]; !ok {
		return
	}
	delete(p.clients, c)
	p.tabs.Add(-1)
	close(c.send)
}

func (p *gorillaPeer) send(payload []byte) error {
	p.ask(int(p.tabs.Load()) * p.rooms)
	for range p.rooms {
		prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, payload)
		if err != nil {
			return fmt.Errorf("gorilla: prepare: %w", err)
		}
		p.broadcast <- gorillaMessage{prepared, append([]byte{'\n'}, payload...)}
	}
	return nil
}

func (c *gorillaClient) readPump() {
	defer func() {
		c.hub.unregister <- c
		_ = c.conn.Close() // it has ended
	}()
	c.conn.SetReadLimit(gorillaMaxMessage)
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			return
		}
	}
}

func (c *gorillaClient) writePump() {
	defer c.conn.Close()
	for m := range c.send {
		n, err := c.write(m)
		if err != nil {
			return
		}
		c.hub.leave(n)
	}
}

// write writes a message together with what has queued behind it, and returns
// how many that were.
func (c *gorillaClient) write(m gorillaMessage) (int, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(gorillaWriteWait)); err != nil {
		return 0, err
	}
	queued := len(c.send)
	if queued == 0 {
		return 1, c.conn.WritePreparedMessage(m.prepared)
	}
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(m.line[1:]); err != nil {
		return 0, err
	}
	for range queued {
		next := <-c.send
		if _, err := w.Write(next.line); err != nil {
			return 0, err
		}
	}
	return 1 + queued, w.Close()
}
