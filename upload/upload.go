// Package upload takes files over HTTP in pieces, so that one goes on from where it was after a
// lost connection, a restart, or by way of another replica that has the same folder. It speaks
// tus 1.0.0 (https://tus.io/protocols/resumable-upload) with the extensions creation, checksum,
// expiration and termination. What arrives is in a folder, where it stays, or goes from there to
// a writer of the application's.
//
// It does not know who may upload: put it behind whatever decides that, and behind a check of the
// origin. The id of an upload is 130 random bits; who knows it may go on with it, or end it, until
// it is complete, and then see it.
package upload

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// A File is what is known of an upload.
type File struct {
	ID   string // 26 of a-z and 2-7
	Size int64  // bytes
	// Name is what the sender calls it, as one element of a path and of printable text: "file" when
	// there is nothing left of it. It is never a name on this machine. Type is what the content
	// looks like, once it has begun; the sender's word does not count.
	Name, Type string
}

// Options of a Handler. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// MaxSize bounds a file, in bytes. Default 10 MiB.
	MaxSize int64
	// MaxTotal bounds all files in the folder together, those that have begun as what they are to
	// be, in bytes, and MaxFiles their number. When there is no room, what is not complete and has
	// rested for a minute gives way. Defaults: 1 GiB, and 10,000.
	MaxTotal int64
	MaxFiles int
	// Types are the media types that the content may be of, by what it looks like: "image/png". Nil:
	// all. What is served is one of these, or a download.
	Types []string
	// Expire is how long one may rest that is not complete. Default 24 hours.
	Expire time.Duration
	// Keep is how long a complete one stays that nobody asks for. 0: for ever.
	Keep time.Duration
	// PieceTimeout bounds a request that brings a piece: what has arrived until then counts. Default
	// 30 s.
	PieceTimeout time.Duration
	// Admit reports whether a client may begin one more, or how long it should wait. Nil: it may.
	Admit func(r *http.Request) (wait time.Duration, ok bool)
	// Sink returns where a complete file goes, which is closed when all of it was written. An error
	// of any of these leaves the file here, and is tried again when the client asks: so it may be
	// called again with the same File, and the last Close without an error counts. After that the
	// file is not here any more. Nil: files stay in the folder, and are served.
	Sink func(ctx context.Context, f File) (io.WriteCloser, error)
	// Clock returns the time. Nil: time.Now.
	Clock func() time.Time
}

// withDefaults returns the options with what is missing in them; nil is no options.
func (o *Options) withDefaults() Options {
	var all Options
	if o != nil {
		all = *o
	}
	fill(&all.MaxSize, 10<<20)
	fill(&all.MaxTotal, 1<<30)
	fill(&all.MaxFiles, 10_000)
	fill(&all.Expire, 24*time.Hour)
	fill(&all.PieceTimeout, 30*time.Second)
	if all.Logger == nil {
		all.Logger = slog.Default()
	}
	if all.Clock == nil {
		all.Clock = time.Now
	}
	return all
}

func fill[T int | int64 | time.Duration](field *T, def T) {
	if *field == 0 {
		*field = def
	}
}

// A Handler serves the uploads in one folder: below an address that ends in a slash, in which the
// last element is an id. It may be used concurrently, and several processes may share a folder.
type Handler struct {
	opts   Options
	folder *folder
}

// New returns a handler for a folder, which it makes if it is not there. The error is that of the
// folder.
func New(dir string, opts *Options) (*Handler, error) {
	o := opts.withDefaults()
	f, err := openFolder(dir, &o)
	if err != nil {
		return nil, err
	}
	return &Handler{o, f}, nil
}

// Unfinished returns how many uploads have begun and are not complete, those of all processes that
// share the folder: of a few seconds ago. 0 while the folder can't be read.
func (h *Handler) Unfinished() int {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if h.folder.scan() != nil {
		return 0
	}
	return h.folder.unfinished
}

// ServeHTTP implements http.Handler. What goes wrong is answered as text for the person.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Tus-Resumable", version)
	w.Header().Set("Cache-Control", "no-store")
	serve := map[string]func(w http.ResponseWriter, r *http.Request) error{
		http.MethodPost: h.create, http.MethodHead: h.ask, http.MethodPatch: h.add, http.MethodDelete: h.end,
		http.MethodGet: h.show, http.MethodOptions: h.describe,
	}[method(r)]
	if serve == nil {
		w.Header().Set("Allow", "OPTIONS, POST, HEAD, PATCH, DELETE, GET")
		h.answer(w, r, problem(http.StatusMethodNotAllowed, "This address does not accept such a request."))
		return
	}
	h.answer(w, r, serve(w, r))
}

// method is that of a request, for clients that can't send it as well.
func method(r *http.Request) string {
	if over := r.Header.Get("X-HTTP-Method-Override"); over != "" && r.Method == http.MethodPost {
		return over
	}
	return r.Method
}

// answer sends what went wrong, if something did.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	p := problemOf(err)
	if p.status == http.StatusInternalServerError && r.Context().Err() == nil {
		h.opts.Logger.Error("upload failed", "err", err)
	}
	if p.wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((p.wait+time.Second-1)/time.Second), 10))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.text) // nobody else is there to be told
}

// A problemError is an answer that says why there is no other.
type problemError struct {
	status int
	text   string // for the person
	wait   time.Duration
}

// Error implements error.
func (p *problemError) Error() string { return strconv.Itoa(p.status) + " " + p.text }

func problem(status int, text string) *problemError { return &problemError{status: status, text: text} }

// Problems that have one wording.
var (
	errUnknown   = problem(http.StatusNotFound, "There is no such upload, or not any more.")
	errBusy      = problem(http.StatusLocked, "Another request is just sending a piece of this file.")
	errNoRoom    = problem(http.StatusInsufficientStorage, "There is no room for it on this server at the moment.")
	errWrongType = problem(http.StatusUnsupportedMediaType, "This is not a kind of file that is taken here.")
	errTooLong   = problem(http.StatusRequestEntityTooLarge, "There is more of it than was said when it began.")
	errComplete  = problem(http.StatusForbidden, "This file is complete, and stays.")
	errElsewhere = problem(http.StatusConflict, "The piece does not belong here.")
	errCutOff    = problem(http.StatusBadRequest, "The piece has not arrived whole.")
	errChecksum  = problem(statusChecksum, "The piece has changed on its way.")
	errInternal  = problem(http.StatusInternalServerError, "The file can't be kept at the moment.")
)

// problemOf turns any error into what a person may see of it.
func problemOf(err error) *problemError {
	var p *problemError
	switch {
	case errors.As(err, &p):
		return p
	case isFull(err):
		return errNoRoom
	}
	return errInternal
}

// newID returns an id that nobody can guess.
func newID() string { return strings.ToLower(rand.Text()) }

// ValidID reports whether a text can be the id of an upload.
func ValidID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// idOf returns the id in a request's address.
func idOf(r *http.Request) (string, error) {
	id := path.Base(r.URL.Path)
	if !ValidID(id) {
		return "", errUnknown
	}
	return id, nil
}
