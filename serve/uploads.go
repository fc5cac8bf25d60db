package serve

import (
	"errors"
	"net/http"
	"strconv"
)

// An uploadHandler lets the pages of this server send files, and everybody who knows their ids see
// them.
type uploadHandler struct {
	files   http.Handler
	limiter *limiter
	refused *refusals
	origins *origins
}

// serve has the files served, and changed.
func (h *uploadHandler) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return h.change(w, r)
	}
	h.files.ServeHTTP(w, r)
	return nil
}

// change is for what changes something: for pages of this server only. What is refused is
// answered as text, as everything is that a script asks.
func (h *uploadHandler) change(w http.ResponseWriter, r *http.Request) error {
	err := h.origins.sameOrigin(func(w http.ResponseWriter, r *http.Request) error {
		addr := clientOf(r).addr
		if r.Method == http.MethodPost && !h.limiter.uploads.Allow(addr) {
			h.refused.uploadsOfAddr.Add(1)
			return problem(http.StatusTooManyRequests, "Too many files", "There were too many files from your network. Try again later.").
				After(h.limiter.uploads.Wait(addr))
		}
		h.files.ServeHTTP(w, r)
		return nil
	})(w, r)
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	if p.Wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(p.Wait), 10))
	}
	return sendText(w, p.Status, p.Text)
}
