package web

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/serve"
)

// A Sibling is a replica that browsers reach by an address of its own: by the name of the page that
// they look at, without TLS, and this port.
type Sibling struct {
	Name string
	Port int
}

const (
	smallView = "small" // what the query's view is for a page that is shown in a frame
	minViews  = 2
	maxViews  = 6
)

// split shows a topic's page on each replica, side by side. Replicas without an address of their
// own are reached by what stands in front of them, which spreads the views as it likes.
func (h *pageHandler) split(c echo.Context) error {
	topic := c.QueryParam("topic")
	if topic == "" {
		topic = app.Lobby
	}
	if !h.app.HasTopic(topic) {
		return echo.ErrNotFound
	}
	base := baseOf(c)
	_, name, _ := strings.Cut(topic, ":")
	s := pages.Split{
		Name: name, Home: base + "/", Newest: base + app.Path(topic), Apart: len(h.siblings) > 0,
		Style: base + h.assets.URL("app.css"), Icon: base + h.assets.URL("favicon.svg"),
	}
	for _, sheet := range []string{"around.css", "split.css"} {
		s.Styles = append(s.Styles, base+h.assets.URL(sheet))
	}
	view := func(name, at string) {
		s.Views = append(s.Views, pages.View{Name: name, Small: at + "?view=" + smallView, Whole: at})
	}
	origins := h.siblingsOf(c)
	for i, origin := range origins {
		view(h.siblings[i].Name, origin+app.Path(topic))
	}
	if len(origins) == 0 {
		for i := range min(max(h.app.Others()+1, minViews), maxViews) {
			view("Tab "+strconv.Itoa(i+1), s.Newest)
		}
	}
	serve.AllowFrames(c.Response().Header(), origins...)
	return sendPage(c, h.server, http.StatusOK, pages.SplitPage(s))
}

// siblingsOf returns the origins of the siblings, as the browser reaches them.
func (h *pageHandler) siblingsOf(c echo.Context) (origins []string) {
	for _, one := range h.siblings {
		origins = append(origins, originAt(c, one.Port))
	}
	return origins
}

// originAt is an origin of the machine that the browser asks, at another port.
func originAt(c echo.Context, port int) string {
	host, _ := hostOf(c)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return "http://" + net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// small makes a page one that is shown in a frame, by this application and on no other site.
func (h *pageHandler) small(c echo.Context, p *pages.Page) {
	p.Small, p.Styles = true, append(p.Styles, baseOf(c)+h.assets.URL("small.css"))
	by := h.siblingsOf(c)
	if len(by) > 0 {
		by = append([]string{originAt(c, h.front)}, by...)
	}
	serve.AllowFramedBy(c.Response().Header(), by...)
}
