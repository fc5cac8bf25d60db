package web

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"lockstep/components"
	"lockstep/live"
)

// A problemError is an error that a person sees as a page.
type problemError struct {
	status      int
	title, text string
	other       components.Way   // what may have been meant
	again       components.Again // the click that was not counted
	wait        time.Duration    // until trying again may help; 0: it would not, or nobody knows
}

// after returns p with what a client that tries again by itself is told: to wait for so long, and a
// second at least.
func (p *problemError) after(wait time.Duration) *problemError {
	p.wait = max(wait, time.Second)
	return p
}

// Error implements error.
func (p *problemError) Error() string { return fmt.Sprintf("%d %s", p.status, p.title) }

func problem(status int, title, text string) *problemError {
	return &problemError{status: status, title: title, text: text}
}

// Problems that have one wording.
var (
	errInternal = problem(http.StatusInternalServerError, "Something went wrong",
		"It was not your fault. Try again in a little while.")
	errNotFound = problem(http.StatusNotFound, "Nothing here", "There is no page at this address.")
)

// problemPages answer requests that fail.
type problemPages struct {
	style, icon string // URLs, below the base path
	compressor  *compressor
	log         *slog.Logger
}

// fail answers a request whose handler returned an error.
func (ps *problemPages) fail(err error, c echo.Context) {
	if c.Response().Committed || c.Request().Context().Err() != nil {
		return // it is answered, or nobody is there to read an answer
	}
	p := ps.explain(err)
	base := clientOf(c).base
	if p.wait > 0 {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.FormatInt(wholeSeconds(p.wait), 10))
	}
	page := components.ProblemPage(components.Problem{
		Status: p.status, Title: p.title, Text: p.text, Home: base + "/", Style: base + ps.style, Icon: base + ps.icon,
		Back: wayBack(c.Request(), base), Other: p.other, Again: p.again,
	})
	if err := sendPage(c, ps.compressor, p.status, page); err != nil {
		ps.log.Error("problem page failed", "err", err)
	}
}

// explain turns any error into what a person may see of it.
func (ps *problemPages) explain(err error) *problemError {
	var p *problemError
	if errors.As(err, &p) {
		return p
	}
	var h *echo.HTTPError
	if !errors.As(err, &h) {
		ps.log.Error("request failed", "err", err)
		return ps.explain(errInternal)
	}
	switch h.Code {
	case http.StatusNotFound:
		return ps.explain(errNotFound)
	case http.StatusMethodNotAllowed:
		return problem(h.Code, "Not this way", "This address does not accept such a request.")
	case http.StatusRequestEntityTooLarge:
		return problem(h.Code, "Too large", "The request was larger than this server accepts.")
	}
	return problem(h.Code, http.StatusText(h.Code), "The server did not accept this request.")
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

// panicked logs a handler that panicked; the person sees "something went wrong".
func (ps *problemPages) panicked(_ echo.Context, err error, stack []byte) error {
	ps.log.Error("handler panicked", "err", err, "stack", string(stack))
	return errInternal
}

// sendPage renders a page whole before any of it is sent, so that an error never leaves half a
// page. Pages may be stored but are always asked for again: browsers shut a page under no-store out
// of their back-forward cache.
func sendPage(c echo.Context, z *compressor, status int, page live.Component) error {
	var b bytes.Buffer
	if err := page.Render(c.Request().Context(), &b); err != nil {
		return fmt.Errorf("web: render: %w", err)
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return z.send(c, status, b.Bytes())
}
