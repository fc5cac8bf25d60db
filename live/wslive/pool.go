package wslive

import (
	"bufio"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"lockstep/htmx"
)

// spareReaders is how many readers may lie in the pool: 6 KB each.
const spareReaders = 64

// A pool holds the readers that are not in use. It may be used concurrently.
//
// The reader that a tab begins with, which its handshake has made, goes to the
// pool later. Where that is empty, one is made by a handshake without a tab.
type pool chan *reader

func newPool() pool { return make(pool, spareReaders) }

// take returns a reader, and puts it on a connection.
func (p pool) take(c *conn) (r *reader, err error) {
	select {
	case r = <-p:
	default:
		if r, err = newReader(); err != nil {
			return nil, err
		}
	}
	r.conn, r.bounds.deflates = c, c.variant.deflates
	return r, nil
}

// put gives back a reader that has come to a boundary.
func (p pool) put(r *reader) {
	r.conn = nil
	select {
	case p <- r:
	default:
		r.close()
	}
}

// close closes the readers that are not in use.
func (p pool) close() {
	for {
		select {
		case r := <-p:
			r.close()
		default:
			return
		}
	}
}

// close ends a reader. Without it a reader is never collected: the library sets
// a finalizer on what is part of a cycle.
func (r *reader) close() {
	r.conn = nil
	_ = r.ws.CloseNow() // there is nothing under it
}

// newReader makes a reader by a handshake without a tab.
func newReader() (*reader, error) {
	req := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header)}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "bm90IGEgc2VjcmV0IGtleQ==")
	return accept(&handshake{ResponseWriter: discard(make(http.Header))}, req)
}

// accept makes a reader by a handshake. The caller has checked the origin.
func accept(hs *handshake, r *http.Request) (*reader, error) {
	hs.reader = new(reader)
	ws, err := websocket.Accept(hs, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionNoContextTakeover,
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(htmx.MaxEvent)
	hs.reader.ws = ws
	return hs.reader, nil
}

// A handshake hands the library a stream in place of what it hijacks, with
// buffers for a control frame and no more. It keeps the answer 101 from the writer
// of the request: that may be one that compresses, or measures, and holds it back.
// hijack sends it over the connection itself, once it has that.
type handshake struct {
	http.ResponseWriter
	hijack func(*reader) error // puts the reader on its connection; nil: there is none
	reader *reader
	failed error // of hijack: the answer is the caller's then
}

// WriteHeader implements http.ResponseWriter.
func (hs *handshake) WriteHeader(code int) {
	if code != http.StatusSwitchingProtocols && hs.failed == nil {
		hs.ResponseWriter.WriteHeader(code)
	}
}

// Write implements http.ResponseWriter.
func (hs *handshake) Write(b []byte) (int, error) {
	if hs.failed != nil {
		return len(b), nil
	}
	return hs.ResponseWriter.Write(b)
}

// Hijack implements http.Hijacker.
func (hs *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if hs.hijack != nil {
		if hs.failed = hs.hijack(hs.reader); hs.failed != nil {
			return nil, nil, hs.failed
		}
	}
	s := stream{hs.reader}
	return s, bufio.NewReadWriter(bufio.NewReaderSize(s, readBuffer), bufio.NewWriterSize(s, writeBuffer)), nil
}

// discard is what a handshake without a tab writes its answer to.
type discard http.Header

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return http.Header(d) }

// Write implements http.ResponseWriter.
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (d discard) WriteHeader(int) {}
