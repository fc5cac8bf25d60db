package serve

import (
	"net/http"

	"lockstep/static"
)

// An assetHandler serves what pages load.
type assetHandler struct{ *static.Assets }

// serve answers with an asset. Its name contains a hash of its content, so it may be kept for ever;
// a substitute must not be kept, or it would stay when the file itself can be had.
func (a assetHandler) serve(w http.ResponseWriter, r *http.Request, path string) error {
	h := w.Header()
	f, ok := a.Open(path, acceptEncoding(w, r))
	if !ok {
		return errNotFound
	}
	if f.Name == "worker.js" {
		h.Set("Content-Security-Policy", WorkerPolicy)
	}
	if f.Substitute {
		h.Set("Cache-Control", "no-store")
	} else {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("ETag", f.ETag)
		if r.Header.Get("If-None-Match") == f.ETag {
			return noContent(w, http.StatusNotModified)
		}
	}
	if f.Encoding != "" {
		h.Set("Content-Encoding", f.Encoding)
	}
	return sendBody(w, http.StatusOK, f.ContentType, f.Body)
}
