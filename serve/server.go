package serve

import (
	"context"
	"crypto/tls"
	"errors"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"lockstep/live/httplive"
)

const (
	maxHeader = 16 << 10 // bytes
	// sendBuffer is what the kernel may hold for a tab that does not read; Linux
	// doubles it. Left alone it grows to 4 MB for each stalled tab. It also
	// bounds what is under way to a distant client, 64 KB a round trip: so it is
	// for websockets and streams only, and files go as fast as they can.
	sendBuffer = 32 << 10
)

// serverOptions are the differences between listeners. A time of 0 is no limit.
type serverOptions struct {
	// The times bound what a slow or hostile client can hold. Sockets are
	// exempt, because net/http lets go of them.
	header, body, write, idle time.Duration
	tls                       *tls.Config      // nil: without
	limiter                   *listenerLimiter // nil: everybody may come
}

// An httpServer serves one listener, which it owns, until stop.
type httpServer struct {
	http     *http.Server
	listener net.Listener

	ended chan struct{} // closed when serving has ended
	err   error         // why; readable when ended is closed
}

// serveOn starts a server.
func serveOn(l net.Listener, h http.Handler, o serverOptions, log *slog.Logger) *httpServer {
	s := &httpServer{listener: l, ended: make(chan struct{}), http: &http.Server{
		Handler: boundSockets(h), TLSConfig: o.tls,
		ReadHeaderTimeout: o.header, ReadTimeout: o.body, WriteTimeout: o.write, IdleTimeout: o.idle,
		MaxHeaderBytes: maxHeader, ErrorLog: stdlog.New(httpLog{log}, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}}
	if o.limiter != nil {
		s.http.ConnState = o.limiter.count
	}
	accept := s.http.Serve
	if o.tls != nil {
		accept = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() { // ends with stop, which waits for it
		defer close(s.ended)
		s.err = accept(l)
	}()
	return s
}

// httpLog takes what http.Server logs: almost all of it is about what clients do, which matters
// to nobody but a developer. But somebody must hear that no connection can be accepted, for want
// of files.
type httpLog struct{ log *slog.Logger }

// Write implements io.Writer. http.Server calls it with one line.
func (h httpLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: Accept error") {
		h.log.Warn("no connection can be accepted", "err", text)
	} else {
		h.log.Debug("http", "err", text)
	}
	return len(line), nil
}

// connKey finds a request's connection in its context.
type connKey struct{}

// isTab reports whether a request is a websocket to be, or a stream in place of one.
func isTab(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Method == http.MethodPost && httplive.IsStream(r)
}

// boundSockets bounds what the kernel holds for a connection that is about to
// become a websocket, or has a stream.
func boundSockets(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connKey{}).(net.Conn)
		if encrypted, ok := c.(*tls.Conn); ok {
			c = encrypted.NetConn()
		}
		if tcp, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok && isTab(r) {
			_ = tcp.SetWriteBuffer(sendBuffer) // the connection works all the same
		}
		h.ServeHTTP(w, r)
	})
}

// stop lets requests finish, for as long as ctx allows. Stopping nil is
// harmless.
func (s *httpServer) stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		// Proxied sockets and profiles do not end by themselves.
		err = s.http.Close()
	}
	<-s.ended
	if errors.Is(s.err, http.ErrServerClosed) {
		return err
	}
	return errors.Join(err, s.err)
}

// failed delivers the error of the first server that ended by itself.
func failed(servers ...*httpServer) <-chan error {
	first := make(chan error, len(servers))
	for _, s := range servers {
		go func() { // ends with the server
			<-s.ended
			if !errors.Is(s.err, http.ErrServerClosed) {
				first <- s.err
			}
		}()
	}
	return first
}
