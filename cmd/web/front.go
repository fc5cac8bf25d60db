package main

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A front is what stands between the listener of a balancer and the balancer:
// what package web does for a replica.
type front struct {
	// set once
	next         http.Handler
	gate         *gate
	writeTimeout time.Duration

	tabs atomic.Int64
}

// count returns how many websockets are passed on at the moment. They are tabs
// of replicas, but no runtime of this listener.
func (f *front) count() int { return int(f.tabs.Load()) }

// ServeHTTP implements http.Handler. For a websocket it returns at its end.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		f.next.ServeHTTP(&hurriedWriter{w, http.NewResponseController(w), f.writeTimeout}, r)
		return
	}
	if f.gate.max > 0 && f.gate.used() > tabsOf(f.gate.max) {
		f.gate.refusedAll.Add(1)
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Connection", "close")
		http.Error(w, "this server has as many tabs as it may have", http.StatusServiceUnavailable)
		return
	}
	f.tabs.Add(1)
	defer f.tabs.Add(-1)
	f.next.ServeHTTP(w, r)
}

// A hurriedWriter gives a client time for each piece that a balancer passes
// on, 32 KB at most, and not for all of an answer: one that reads slowly may
// go on. It is used by one goroutine.
type hurriedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

// Write implements http.ResponseWriter.
func (w *hurriedWriter) Write(b []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is below.
func (w *hurriedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
