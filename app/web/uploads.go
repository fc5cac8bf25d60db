package web

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// uploadsPath is where files go, below the base path. Pages know it: see components.
const uploadsPath = "/uploads/"

// An uploadHandler lets the pages of this server send files, and everybody who knows their ids see
// them.
type uploadHandler struct {
	files   http.Handler
	limiter *limiter
	refused *refusals
	origins *origins
}

// route gives the handler its addresses; without files there are none.
func (h *uploadHandler) route(e *echo.Echo) {
	if h.files == nil {
		return
	}
	for _, path := range []string{uploadsPath, uploadsPath + ":id"} {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, h.serve)
		e.Match([]string{http.MethodPost, http.MethodPatch, http.MethodDelete}, path, h.change)
	}
	// From a page that a form was answered with, which is one folder below the others.
	e.GET("/signup"+uploadsPath+":id", func(c echo.Context) error { return moved(c, uploadsPath+c.Param("id")) })
}

func (h *uploadHandler) serve(c echo.Context) error {
	h.files.ServeHTTP(c.Response(), c.Request())
	return nil
}

// change is serve for what changes something: for pages of this server only. What is refused is
// answered as text, as everything is that a script asks.
func (h *uploadHandler) change(c echo.Context) error {
	err := h.origins.sameOrigin(func(c echo.Context) error {
		addr := clientOf(c).addr
		if c.Request().Method == http.MethodPost && !h.limiter.uploads.Allow(addr) {
			h.refused.uploadsOfAddr.Add(1)
			return problem(http.StatusTooManyRequests, "Too many files", "There were too many files from your network. Try again later.").
				after(h.limiter.uploads.Wait(addr))
		}
		return h.serve(c)
	})(c)
	var p *problemError
	if !errors.As(err, &p) {
		return err
	}
	head := c.Response().Header()
	if p.wait > 0 {
		head.Set(echo.HeaderRetryAfter, strconv.FormatInt(wholeSeconds(p.wait), 10))
	}
	head.Set(echo.HeaderContentType, "text/plain; charset=utf-8")
	c.Response().WriteHeader(p.status)
	_, _ = io.WriteString(c.Response(), p.text) // nobody else is there to be told
	return nil
}
