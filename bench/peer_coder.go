package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// coderPeer is coder/websocket as its chat example uses it: a channel for each
// tab, which the HTTP handler empties with a timeout for each write, and
// CloseRead for what the tab sends.
type coderPeer struct {
	*pacer
	rooms int

	mu          sync.Mutex
	subscribers map[*coderSubscriber]struct{}
}

type coderSubscriber struct {
	messages  chan []byte
	closeSlow func()
}

func newCoder(rooms int) (subject, error) {
	return &coderPeer{pacer: newPacer(), rooms: rooms, subscribers: make(map[*coderSubscriber]struct{})}, nil
}

func (p *coderPeer) serve(l net.Listener, ready func()) error {
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = p.subscribe(w, r, ready) // it ends with the tab
	}))
}

func (p *coderPeer) subscribe(w http.ResponseWriter, r *http.Request, ready func()) error {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	s := &coderSubscriber{
		messages:  make(chan []byte, max(16, p.rooms)), // 16 in the example
		closeSlow: func() { _ = c.Close(websocket.StatusPolicyViolation, "too slow") },
	}
	p.add(s)
	defer p.remove(s)
	ctx := c.CloseRead(r.Context())
	ready()
	for {
		select {
		case m := <-s.messages:
			if err := writeTimeout(ctx, 5*time.Second, c, m); err != nil {
				return err
			}
			p.leave(1)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func writeTimeout(ctx context.Context, d time.Duration, c *websocket.Conn, m []byte) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, m)
}

func (p *coderPeer) add(s *coderSubscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscribers[s] = struct{}{}
}

func (p *coderPeer) remove(s *coderSubscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.subscribers, s)
}

func (p *coderPeer) send(payload []byte) error {
	for range p.rooms {
		p.publish(payload)
	}
	return nil
}

// publish gives one message to every subscriber. It never blocks: a
// subscriber that is too slow is closed.
func (p *coderPeer) publish(m []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ask(len(p.subscribers))
	for s := range p.subscribers {
		select {
		case s.messages <- m:
		default:
			go s.closeSlow()
		}
	}
}
