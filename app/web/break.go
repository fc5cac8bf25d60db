package web

import (
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"lockstep"
	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/serve"
)

// A Break is how people break the replicas of a demo on purpose, on the pages of its counters.
type Break struct {
	*app.Break
	// Anywhere lets everybody do it. Else those may whose browser is on this machine, and has asked
	// for it by a name of this machine alone: another one may lead here from anybody's page.
	Anywhere bool
	// History writes what the verdict rests on.
	History func(w io.Writer) error
}

// breakQuery is in the address of a page with the panel.
const breakQuery = "break"

// historyPath is where the history is.
const historyPath = "/break/history"

// lets reports whether the sender of a request may break anything.
func (b *Break) lets(r *http.Request) bool {
	if b == nil || b.Anywhere {
		return b != nil
	}
	names, _ := serve.Hosts(r)
	for _, name := range append(names, r.Host) {
		if !isLoopback(name) {
			return false
		}
	}
	return serve.Client(r).Unmap().IsLoopback()
}

// isLoopback reports whether a host, with its port or without, is a name of this machine alone.
func isLoopback(host string) bool {
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return ap.Addr().IsLoopback()
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	return name == "localhost"
}

// open puts the panel into a page of a visit, or what leads to it. It returns the topics of the
// page: nobody joins that of the panel whose page has not got it.
func (b *Break) open(c echo.Context, p *pages.Page, v *serve.Visit, topic string) ([]string, error) {
	p.Links.Break = p.Links.Newest + "?" + breakQuery + "=1"
	p.Links.History = baseOf(c) + historyPath
	if !c.QueryParams().Has(breakQuery) {
		return []string{topic}, nil
	}
	page := v.Page()
	var html bytes.Buffer
	if err := b.Room().Render(lockstep.WithPage(c.Request().Context(), page), &html); err != nil {
		return nil, err
	}
	p.Panel = templ.Raw(html.String())
	return append([]string{topic}, page.Topics()...), nil
}

// history serves the file.
func (b *Break) history(c echo.Context) error {
	if !b.lets(c.Request()) {
		return serve.ProblemOf(http.StatusNotFound)
	}
	var file bytes.Buffer
	if err := b.History(&file); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Content-Disposition", `attachment; filename="lockstep-history.jsonl"`)
	h.Set("Cache-Control", "no-store")
	return c.Blob(http.StatusOK, "application/x-ndjson", file.Bytes())
}
