package protocol

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// walk calls f with the attributes of each element of a page or fragment.
func walk(body []byte, f func(attr map[string]string)) {
	z := html.NewTokenizer(bytes.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return // the end; a tokenizer of bytes has no other error
		case html.StartTagToken, html.SelfClosingTagToken:
			_, more := z.TagName()
			attr := make(map[string]string)
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				attr[string(key)] = string(value)
			}
			f(attr)
		}
	}
}

// textOf is the text below the first element with an id, without surrounding space.
func textOf(body []byte, id string) string {
	z := html.NewTokenizer(bytes.NewReader(body))
	var text strings.Builder
	depth := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return strings.TrimSpace(text.String())
		case html.StartTagToken:
			if depth > 0 || hasID(z, id) {
				depth++
			}
		case html.EndTagToken:
			if depth--; depth == 0 {
				return strings.TrimSpace(text.String())
			}
			depth = max(depth, 0)
		case html.TextToken:
			if depth > 0 {
				text.Write(z.Text())
			}
		}
	}
}

func hasID(z *html.Tokenizer, id string) bool {
	_, more := z.TagName()
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) == "id" && string(value) == id {
			return true
		}
	}
	return false
}

// socketURL is where a page's socket is: ref as the page has it, with the scheme of websockets if
// ws.
func socketURL(page *url.URL, ref string, ws bool) (string, error) {
	u, err := page.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("the page's socket has the URL %q: %w", ref, err)
	}
	if ws {
		u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	}
	return u.String(), nil
}

// cookies are what a browser sends back to the page it came from. (Domains, paths and lifetimes
// don't matter within a page.)
func cookies(header http.Header) string {
	var all []string
	for _, c := range (&http.Response{Header: header}).Cookies() {
		if c.MaxAge >= 0 {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	return strings.Join(all, "; ")
}
