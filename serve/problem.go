package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"lockstep/live"
)

// A Problem is an error that a person sees as a page: why there is nothing else, and where to go
// on.
type Problem struct {
	Status      int // of HTTP
	Title, Text string
	Other       Link          // what may have been meant; the zero Link: nobody knows
	Again       Again         // the click that was not counted; the zero value: none
	Wait        time.Duration // until trying again may help; 0: it would not, or nobody knows
}

// A Link leads somewhere.
type Link struct{ To, Text string }

// An Again is a form that could not be counted: sent with the same identity, it counts once,
// whatever became of it.
type Again struct {
	To     string // where it posts to
	Fields []Field
}

// A Field is one of a form, which is not shown.
type Field struct{ Name, Value string }

// After returns p with what a client that tries again by itself is told: to wait for so long, and a
// second at least.
func (p *Problem) After(wait time.Duration) *Problem {
	p.Wait = max(wait, time.Second)
	return p
}

// Error implements error.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Title) }

func problem(status int, title, text string) *Problem {
	return &Problem{Status: status, Title: title, Text: text}
}

// Problems that have one wording.
var (
	errInternal = problem(http.StatusInternalServerError, "Something went wrong",
		"It was not your fault. Try again in a little while.")
	errNotFound = problem(http.StatusNotFound, "Nothing here", "There is no page at this address.")
)

// problemPages answer requests that fail.
type problemPages struct {
	page       func(r *http.Request, p *Problem) live.Component
	compressor *compressor
	log        *slog.Logger
}

// fail answers a request whose handler returned an error.
func (ps *problemPages) fail(err error, w *response, r *http.Request) {
	if w.begun || r.Context().Err() != nil {
		return // it is answered, or nobody is there to read an answer
	}
	var to Redirect
	if errors.As(err, &to) {
		w.Header().Set("Cache-Control", "no-store")
		_ = redirect(w, http.StatusSeeOther, clientOf(r).base+to.To)
		return
	}
	p := ps.explain(err)
	if p.Wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(p.Wait), 10))
	}
	if err := ps.compressor.sendPage(w, r, p.Status, ps.page(r, p)); err != nil {
		ps.log.Error("problem page failed", "err", err)
	}
}

// explain turns any error into what a person may see of it.
func (ps *problemPages) explain(err error) *Problem {
	var p *Problem
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &long):
		return ProblemOf(http.StatusRequestEntityTooLarge)
	}
	ps.log.Error("request failed", "err", err)
	return errInternal
}

// ProblemOf returns the problem of a status of HTTP, where nothing more is known.
func ProblemOf(status int) *Problem {
	switch status {
	case http.StatusNotFound:
		return errNotFound
	case http.StatusMethodNotAllowed:
		return problem(status, "Not this way", "This address does not accept such a request.")
	case http.StatusRequestEntityTooLarge:
		return problem(status, "Too large", "The request was larger than this server accepts.")
	case http.StatusInternalServerError:
		return errInternal
	}
	return problem(status, http.StatusText(status), "The server did not accept this request.")
}

// wholeSeconds rounds a wait up.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// inWords says how long a person has to wait: rounded up, and to what anybody would say. Less than
// a second is one.
func inWords(d time.Duration) string {
	s := max(1, wholeSeconds(d))
	switch {
	case s < 2*60:
		return strconv.FormatInt(s, 10) + " s"
	case s < 2*60*60:
		return strconv.FormatInt((s+59)/60, 10) + " minutes"
	}
	return strconv.FormatInt((s+3599)/3600, 10) + " hours"
}
