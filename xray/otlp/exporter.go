// Package otlp sends what package xray has followed to a collector of OpenTelemetry traces, by OTLP
// over HTTP, as JSON. Nothing else is linked in for it: the libraries of OpenTelemetry bring gRPC.
//
// A trace is an op: a span for its way from the replica that took it to the last tab, and spans in
// it for queue, store, wait, rendering, writing, the broker, and each other replica. The times of
// other replicas are counted from when the broadcast came back to this one: no clock of another
// machine is believed. No trace has what a person has sent, or who they are.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"lockstep/htmx"
	"lockstep/internal/pause"
	"lockstep/xray"
)

const (
	// maxQueue is how many traces wait to be sent at most, and maxBatch how many are sent at once.
	maxQueue = 2048
	maxBatch = 256
	// gather is how long a trace waits for others.
	gather = 2 * time.Second
	// retryFirst is the pause after a request that failed, and retryLast the longest, to which it
	// doubles.
	retryFirst = time.Second
	retryLast  = 30 * time.Second
	// maxAnswer is how much of what a collector says is read, in bytes.
	maxAnswer = 4096
)

// Options of an Exporter. Zero values are the defaults.
type Options struct {
	// URL is where the collector takes traces. Default http://localhost:4318/v1/traces.
	URL string
	// Headers are sent with each request; they may be secrets, and no log has them.
	Headers map[string]string
	// Timeout bounds a request. Default 10 s.
	Timeout time.Duration
	// Gzip compresses what is sent.
	Gzip bool
	// Service is what the program is called, and Attributes are what else is said of it, as
	// "deployment.environment.name". Default "lockstep".
	Service    string
	Attributes map[string]string
	// Ratio is the part of the ops that are followed, from 0 to 1. Default 1; negative: none. There
	// are bounds beside it: package xray follows 256 at a time.
	Ratio float64
	// Client sends the requests; nil: one of its own.
	Client *http.Client
	Logger *slog.Logger // nil: slog.Default()
}

// An Exporter sends traces. Its methods may be called concurrently.
type Exporter struct {
	// set once
	opts Options
	kick chan struct{} // of size 1: a trace has come

	mu      sync.Mutex // guards the rest
	queue   []xray.Trace
	dropped int // since it was said last
}

// New returns an exporter; nil options are the defaults. It sends nothing until Run.
func New(opts *Options) *Exporter {
	e := &Exporter{kick: make(chan struct{}, 1)}
	if opts != nil {
		e.opts = *opts
	}
	o := &e.opts
	if o.URL == "" {
		o.URL = endpoint + tracesPath
	}
	if o.Service == "" {
		o.Service = "lockstep"
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Ratio == 0 {
		o.Ratio = 1
	}
	if o.Client == nil {
		o.Client = new(http.Client)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return e
}

// Sample is xray.Options.Sample.
func (e *Exporter) Sample(htmx.Op) bool { return rand.Float64() < e.opts.Ratio }

// Done is xray.Options.Done. What does not fit into the queue, because the collector is away or
// slow, is dropped.
func (e *Exporter) Done(t xray.Trace) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) >= maxQueue {
		e.dropped++
		return
	}
	e.queue = append(e.queue, t)
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Run sends traces until ctx ends, and then what is left, once, within a second. It may be called
// once.
func (e *Exporter) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			for batch := e.take(); len(batch) > 0; batch = e.take() {
				if _, err := e.send(last, batch); err != nil {
					e.failed(err, len(batch))
					return
				}
			}
			return
		case <-e.kick:
		}
		if !pause.For(ctx, gather) {
			continue
		}
		for batch := e.take(); len(batch) > 0; batch = e.take() {
			e.deliver(ctx, batch)
		}
	}
}

// take takes a batch from the queue.
func (e *Exporter) take() []xray.Trace {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.queue), maxBatch)
	batch := append([]xray.Trace(nil), e.queue[:n]...)
	if e.queue = e.queue[n:]; len(e.queue) == 0 {
		e.queue = nil
	}
	return batch
}

// deliver sends a batch, again and again while the collector is away or asks for it (OTLP/HTTP,
// "Failures"). It gives up when the collector refuses it, or ctx ends.
func (e *Exporter) deliver(ctx context.Context, batch []xray.Trace) {
	for wait := retryFirst; ; wait = min(2*wait, retryLast) {
		after, err := e.send(ctx, batch)
		if err == nil {
			return
		}
		e.failed(err, len(batch))
		if after < 0 || !pause.For(ctx, max(wait, min(after, retryLast))) {
			return
		}
	}
}

// failed tells the log.
func (e *Exporter) failed(err error, traces int) {
	e.mu.Lock()
	dropped := e.dropped
	e.dropped = 0
	e.mu.Unlock()
	e.opts.Logger.Warn("traces can't be sent", "traces", traces, "dropped", dropped, "err", err)
}

// send sends a batch once. After an error, after is how long the collector wants to be left alone;
// negative: it must not be sent again.
func (e *Exporter) send(ctx context.Context, batch []xray.Trace) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	r, err := e.request(ctx, batch)
	if err != nil {
		return -1, err
	}
	resp, err := e.opts.Client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("otlp: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode < 300:
		e.partly(text)
		return 0, nil
	case again(resp.StatusCode):
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0: it says none
		return time.Duration(max(seconds, 0)) * time.Second, fmt.Errorf("otlp: the collector says %s", resp.Status)
	}
	return -1, fmt.Errorf("otlp: the collector refuses them: %s", resp.Status)
}

// again reports whether a status says that the same may be sent again.
func again(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// partly tells the log of traces that the collector has not taken, though it has the request: they
// must not be sent again.
func (e *Exporter) partly(answer []byte) {
	var a struct {
		PartialSuccess struct {
			RejectedSpans json.Number
			ErrorMessage  string
		}
	}
	if json.Unmarshal(answer, &a) != nil || a.PartialSuccess.ErrorMessage == "" {
		return
	}
	e.opts.Logger.Warn("the collector has not taken all spans", "rejected", a.PartialSuccess.RejectedSpans.String(), "says", a.PartialSuccess.ErrorMessage)
}

// request makes the request of a batch.
func (e *Exporter) request(ctx context.Context, batch []xray.Trace) (*http.Request, error) {
	body, err := json.Marshal(e.document(batch))
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	if e.opts.Gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body) // a buffer takes everything
		_ = w.Close()
		body = b.Bytes()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.opts.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	for name, value := range e.opts.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/json")
	if e.opts.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	return r, nil
}
