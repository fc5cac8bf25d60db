package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"lockstep/live"
)

// A handler answers a request, or returns why it can't: see problemPages.
type handler func(w http.ResponseWriter, r *http.Request) error

// A middleware is what stands before handlers.
type middleware func(next handler) handler

// A response knows whether an answer has begun.
type response struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	w.begun = w.begun || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// plain returns a handler of net/http as one of this package.
func plain(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// handled returns h as a handler of net/http: what it returns is answered with a page that explains
// it, and so is a panic.
func (ps *problemPages) handled(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &response{ResponseWriter: w}
		if err := ps.recovered(h)(answer, r); err != nil {
			ps.fail(err, answer, r)
		}
	})
}

// recovered is the middleware that turns a panic into an error. Aborting an answer is none.
func (ps *problemPages) recovered(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		defer func() {
			p := recover()
			if aborts, is := p.(error); is && errors.Is(aborts, http.ErrAbortHandler) {
				panic(p)
			}
			if p != nil {
				ps.log.Error("handler panicked", "err", fmt.Sprint(p), "stack", string(debug.Stack()))
				err = errInternal
			}
		}()
		return next(w, r)
	}
}

const htmlType = "text/html; charset=UTF-8"

// sendBody answers with a body. That nobody takes it is no error.
func sendBody(w http.ResponseWriter, status int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

func sendText(w http.ResponseWriter, status int, text string) error {
	return sendBody(w, status, "text/plain; charset=utf-8", []byte(text))
}

func sendJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	return sendBody(w, status, "application/json", b.Bytes())
}

func noContent(w http.ResponseWriter, status int) error {
	w.WriteHeader(status)
	return nil
}

func redirect(w http.ResponseWriter, status int, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(status)
	return nil
}

// render renders a page whole before any of it is sent, so that an error never leaves half a page.
func render(r *http.Request, page live.Component) ([]byte, error) {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		return nil, fmt.Errorf("serve: render: %w", err)
	}
	return b.Bytes(), nil
}
