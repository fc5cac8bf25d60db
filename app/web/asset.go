package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/static"
)

// An assetHandler serves what pages load.
type assetHandler struct{ *static.Assets }

// serve answers with an asset. Its name contains a hash of its content, so it may be kept for ever;
// a substitute must not be kept, or it would stay when the file itself can be had.
func (a assetHandler) serve(c echo.Context) error {
	r, h := c.Request(), c.Response().Header()
	f, ok := a.Open(strings.TrimPrefix(r.URL.Path, "/wasm"), acceptEncoding(c))
	if !ok {
		return errNotFound
	}
	if f.Name == "worker.js" {
		h.Set("Content-Security-Policy", workerPolicy)
	}
	if f.Substitute {
		h.Set("Cache-Control", "no-store")
	} else {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("ETag", f.ETag)
		if r.Header.Get("If-None-Match") == f.ETag {
			return c.NoContent(http.StatusNotModified)
		}
	}
	if f.Encoding != "" {
		h.Set("Content-Encoding", f.Encoding)
	}
	return c.Blob(http.StatusOK, f.ContentType, f.Body)
}

// icon leads to the icon of the site, for what asks by the address of old.
func (a assetHandler) icon(c echo.Context) error {
	return moved(c, a.URL("favicon.svg"))
}
