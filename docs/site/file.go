package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"

	"lockstep/static"
)

// minCompressed is the length below which compression gains nothing, in bytes.
const minCompressed = 1 << 10

// A file is what an address is answered with. It is compressed once, when somebody asks for that.
type file struct {
	contentType, hash string
	forever           bool // its address has the hash
	body              []byte
	br, gz            func() []byte
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	f := &file{contentType: static.ContentType(strings.TrimPrefix(path.Ext(name), ".")), hash: hex.EncodeToString(sum[:5]), body: body}
	f.br = sync.OnceValue(func() []byte {
		var b bytes.Buffer
		w := brotli.NewWriterLevel(&b, 9)
		_, _ = w.Write(body) // into memory
		_ = w.Close()
		return b.Bytes()
	})
	f.gz = sync.OnceValue(func() []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body) // into memory
		_ = w.Close()
		return b.Bytes()
	})
	return f
}

// serve answers with the file. What is not kept for ever is asked for again each time, and sent
// only if it has changed.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	encoding := f.encoding(r)
	etag := `"` + f.hash + strings.TrimSuffix("-"+encoding, "-") + `"`
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache")
	if f.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == etag {
		h.Set("Vary", "Accept-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	f.send(w, encoding)
}

// serveInstead answers with the file in place of another version of it, which must not be kept.
func (f *file) serveInstead(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	f.send(w, f.encoding(r))
}

// encoding is how the file is sent.
func (f *file) encoding(r *http.Request) string {
	if f.contentType == "image/png" || len(f.body) < minCompressed {
		return ""
	}
	return static.Encoding(r.Header.Get("Accept-Encoding"))
}

func (f *file) send(w http.ResponseWriter, encoding string) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.contentType)
	body := f.body
	switch encoding {
	case "br":
		body = f.br()
	case "gzip":
		body = f.gz()
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	_, _ = w.Write(body) // the client may be gone
}
