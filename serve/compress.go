package serve

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"lockstep/live"
	"lockstep/static"
)

// How hard pages are compressed: each is made anew for each visitor, so it must not take long.
const (
	brotliLevel = 4
	gzipLevel   = 5
)

// minCompressed is the length below which compression gains nothing, in bytes.
const minCompressed = 1 << 10

// A compressor sends pages, compressed where the client can read that. What is secret in a page
// (the tokens, see signer.token) is another text each time, so the length of a page tells nothing
// of it (BREACH). It may be used concurrently; what it keeps is bounded by how many answers are
// made at a time.
type compressor struct{ brotli, gzip sync.Pool }

// A resetter is a writer that compresses, and can be used again.
type resetter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

func newCompressor() *compressor {
	return &compressor{
		brotli: sync.Pool{New: func() any { return brotli.NewWriterLevel(nil, brotliLevel) }},
		gzip: sync.Pool{New: func() any {
			w, _ := gzip.NewWriterLevel(nil, gzipLevel) // the level is one
			return w
		}},
	}
}

// send answers with a page. Caches must keep its forms apart, and so must proxies that compress
// what is not: Content-Encoding says that this is.
func (z *compressor) send(w http.ResponseWriter, r *http.Request, status int, html []byte) error {
	h := w.Header()
	encoding := static.Encoding(acceptEncoding(w, r))
	if encoding == "" || len(html) < minCompressed {
		return sendBody(w, status, htmlType, html)
	}
	body, err := z.compress(encoding, html)
	if err != nil {
		return err
	}
	h.Set("Content-Encoding", encoding)
	return sendBody(w, status, htmlType, body)
}

// sendPage renders a page whole before any of it is sent, so that an error never leaves half a
// page. Pages may be stored but are always asked for again: browsers shut a page under no-store out
// of their back-forward cache.
func (z *compressor) sendPage(w http.ResponseWriter, r *http.Request, status int, page live.Component) error {
	html, err := render(r, page)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache")
	return z.send(w, r, status, html)
}

// acceptEncoding returns how an answer may be compressed, and says in the answer that it depends
// on that: "" if a middleware around this server compresses, which has said so before. No browser
// reads what is compressed twice.
func acceptEncoding(w http.ResponseWriter, r *http.Request) string {
	h := w.Header()
	for _, vary := range h.Values("Vary") {
		if strings.Contains(strings.ToLower(vary), "accept-encoding") {
			return ""
		}
	}
	h.Add("Vary", "Accept-Encoding")
	if h.Get("Content-Encoding") != "" {
		return ""
	}
	return r.Header.Get("Accept-Encoding")
}

// compress returns html in one of the encodings that static.Encoding returns.
func (z *compressor) compress(encoding string, html []byte) ([]byte, error) {
	pool := &z.gzip
	if encoding == "br" {
		pool = &z.brotli
	}
	w, _ := pool.Get().(resetter) // it has no others
	var b bytes.Buffer
	w.Reset(&b)
	_, err := w.Write(html)
	if err == nil {
		err = w.Close()
	}
	pool.Put(w)
	return b.Bytes(), err
}
