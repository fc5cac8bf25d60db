package unixpubsub

import (
	"encoding/json"
	"net"
	"sync"
)

// waiting is how many frames wait for a client; one that is behind by more is cut off, and reads
// the store when it is back.
const waiting = 4096

// A Server is the broker: what one client publishes, all get who have subscribed to it.
type Server struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex // guards the rest, and topics of clients
	clients map[*client]struct{}
	closed  bool
}

// A client is one connection.
type client struct {
	socket net.Conn
	topics map[string]bool
	out    chan frame
}

// Serve serves the clients that a listener takes, until Close.
func Serve(l net.Listener) *Server {
	s := &Server{listener: l, clients: make(map[*client]struct{})}
	s.running.Go(s.accept)
	return s
}

// Close ends the server, and waits until nothing of it runs on. Closing twice is harmless.
func (s *Server) Close() {
	_ = s.listener.Close() // it is over in any case
	s.mu.Lock()
	s.closed = true
	for c := range s.clients {
		_ = c.socket.Close() // what serves it ends
	}
	s.mu.Unlock()
	s.running.Wait()
}

// accept ends with the listener.
func (s *Server) accept() {
	for {
		socket, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &client{socket: socket, topics: make(map[string]bool), out: make(chan frame, waiting)}
		s.mu.Lock()
		if s.clients[c] = struct{}{}; s.closed {
			_ = socket.Close()
		}
		s.mu.Unlock()
		s.running.Go(func() { c.write() })
		s.running.Go(func() { s.read(c) })
	}
}

// read answers a client until it is gone.
func (s *Server) read(c *client) {
	defer s.forget(c)
	for in := json.NewDecoder(c.socket); ; {
		var f frame
		if in.Decode(&f) != nil {
			return
		}
		s.answer(c, f)
	}
}

// answer does what a client asks for. One lock over all clients gives them the same order.
func (s *Server) answer(c *client, f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Do {
	case "sub", "unsub":
		c.topics[f.Topic] = f.Do == "sub"
	case "pub":
		for other := range s.clients {
			if other.topics[f.Topic] {
				other.put(frame{"msg", f.Topic, f.Payload})
			}
		}
	}
	c.put(frame{Do: "ok"})
}

// put leaves a frame for a client. It does not wait.
func (c *client) put(f frame) {
	select {
	case c.out <- f:
	default:
		_ = c.socket.Close() // it is too far behind
	}
}

// forget ends what is left of a client.
func (s *Server) forget(c *client) {
	_ = c.socket.Close() // it is gone
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	close(c.out) // nobody finds it any more, to put something there
}

// write sends what waits, until the client is forgotten.
func (c *client) write() {
	out := json.NewEncoder(c.socket)
	for f := range c.out {
		_ = out.Encode(f) // read notices that it is gone
	}
}
