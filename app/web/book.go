package web

import (
	"net/http"
	"sync"

	"lockstep/components"
	"lockstep/docs/site"
	"lockstep/serve"
	"lockstep/static"
)

// A bookHandler serves the documentation. Its pages are rendered once, when somebody asks for one.
type bookHandler struct {
	server *serve.Server
	site   func() (*site.Site, error)
}

func newBook(s *serve.Server, assets *static.Assets) *bookHandler {
	return &bookHandler{s, sync.OnceValues(func() (*site.Site, error) {
		return site.New(&site.Options{
			Icon:  ".." + assets.URL("favicon.svg"),
			Links: []components.Link{{Text: "Demo", To: "../"}, {Text: "Components", To: "../gallery"}},
			NotFound: func(w http.ResponseWriter, r *http.Request) {
				s.Fail(w, r, serve.ProblemOf(http.StatusNotFound))
			},
		})
	})}
}

// ServeHTTP implements http.Handler.
func (b *bookHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	book, err := b.site()
	if err != nil {
		b.server.Fail(w, r, err)
		return
	}
	book.ServeHTTP(w, r)
}
