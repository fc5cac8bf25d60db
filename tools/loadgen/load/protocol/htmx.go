package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// HTMX is any page that shows a number which arrives over htmx, by websocket or server-sent events,
// of htmx 4 (hx-ws:connect, hx-sse:connect) or 2 (ws-connect, sse-connect). NewHTMX makes one; the
// zero value is of no use.
type HTMX struct {
	path          string
	number, click cascadia.Matcher
	digits        *regexp.Regexp // of a number in a text, with separators of thousands or without
	target        string         // the selector of the number, as a page writes it
}

// socketAttributes are where a page has its socket, with whether it is a websocket.
func socketAttributes() map[string]bool {
	return map[string]bool{"hx-ws:connect": true, "ws-connect": true, "hx-sse:connect": false, "sse-connect": false}
}

// clickables selects what is clicked by default.
const clickables = `[hx-ws\:send], [ws-send], [hx-post], [hx-put]`

// NewHTMX makes the protocol of a page. number selects the element with the number (CSS). click
// selects what is clicked; "" is the first that sends or posts. path is that of the page, with
// "{n}" as the number of the counter, from 1; "" is the path of the target.
func NewHTMX(path, number, click string) (*HTMX, error) {
	if click == "" {
		click = clickables
	}
	h := &HTMX{path: path, target: number, digits: regexp.MustCompile(`[-−]?\d(?:[\d,.'’\x{a0}\x{202f}]*\d)?`)}
	var err error
	if h.number, err = cascadia.ParseGroup(number); err != nil {
		return nil, fmt.Errorf("the selector of the number %q: %w", number, err)
	}
	if h.click, err = cascadia.ParseGroup(click); err != nil {
		return nil, fmt.Errorf("the selector of what is clicked %q: %w", click, err)
	}
	return h, nil
}

// Traits implements Protocol: a page without ids and versions.
func (*HTMX) Traits() Traits { return Traits{} }

// Page implements Protocol.
func (h *HTMX) Page(n int) string { return strings.ReplaceAll(h.path, "{n}", strconv.Itoa(n+1)) }

// action is what a click sends.
type action struct {
	url    *url.URL // nil: over the socket
	method string
	values url.Values
}

// Open implements Protocol.
func (h *HTMX) Open(u *url.URL, header http.Header, body []byte) (View, error) {
	doc, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return View{}, fmt.Errorf("the page is not HTML: %w", err)
	}
	ref, ws, err := socketOf(doc)
	if err != nil {
		return View{}, err
	}
	v := View{Cookie: cookies(header), Live: true}
	if v.Socket, err = socketURL(u, ref, ws); err != nil {
		return View{}, err
	}
	number := cascadia.Query(doc, h.number)
	if number == nil {
		return View{}, fmt.Errorf("nothing on the page matches the selector %s of the number", h.target)
	}
	if v.State, v.Known = h.state(text(number)); !v.Known {
		return View{}, fmt.Errorf("%s on the page is not a number: %.40q", h.target, text(number))
	}
	v.Action, err = h.action(doc, u)
	return v, err
}

// Hello implements Protocol: there is none.
func (*HTMX) Hello(*View, string, State) []byte { return nil }

// Choose implements Protocol: all do the same.
func (*HTMX) Choose(*View, *rand.Rand) (do string, in map[string]string) { return "", nil }

// Fin implements Protocol: there is none.
func (*HTMX) Fin(*View, string, uint64) []byte { return nil }

// Click implements Protocol. Over a socket htmx sends a form as JSON, with its headers in it.
func (*HTMX) Click(v *View, _ *Op) Send {
	a, _ := v.Action.(*action)
	if a == nil {
		return Send{}
	}
	if a.url == nil {
		return Send{Message: socketForm(a.values)}
	}
	r := &http.Request{Method: a.method, URL: a.url, Header: http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Hx-Request": {"true"}}}
	body := a.values.Encode()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return Send{Request: r}
}

// Read implements Protocol. A message without the number is of other parts of the page.
func (h *HTMX) Read(_ *View, message []byte) (Message, error) {
	fragment := message
	if bytes.HasPrefix(bytes.TrimSpace(message), []byte("{")) {
		var envelope struct{ Content, Payload string }
		if json.Unmarshal(message, &envelope) != nil {
			return Message{}, nil
		}
		fragment = []byte(envelope.Content + envelope.Payload)
	}
	nodes, err := html.ParseFragment(bytes.NewReader(fragment), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		return Message{}, fmt.Errorf("a message is not HTML: %w: %.60q", err, message)
	}
	for _, n := range nodes {
		if found := h.find(n); found != nil {
			var m Message
			m.State, m.HasState = h.state(text(found))
			return m, nil
		}
	}
	return Message{}, nil
}

// find is the number in a fragment: the element itself, what goes into it, or nothing but text.
func (h *HTMX) find(n *html.Node) *html.Node {
	if n.Type == html.TextNode && n.Parent == nil && n.NextSibling == nil && n.PrevSibling == nil {
		return n
	}
	if n.Type != html.ElementNode {
		return nil
	}
	if h.number.Match(n) || attribute(n, "hx-target") == h.target {
		return n
	}
	for c := range n.ChildNodes() {
		if c.Type == html.ElementNode {
			if found := h.find(c); found != nil {
				return found
			}
		}
	}
	return nil
}

func socketOf(doc *html.Node) (ref string, ws bool, err error) {
	for n := range doc.Descendants() {
		for name, isWS := range socketAttributes() {
			if ref := attribute(n, name); ref != "" {
				return ref, isWS, nil
			}
		}
	}
	return "", false, fmt.Errorf("%w: no element has hx-ws:connect, ws-connect, hx-sse:connect or sse-connect", ErrNoSocket)
}

func (h *HTMX) action(doc *html.Node, page *url.URL) (*action, error) {
	n := cascadia.Query(doc, h.click)
	if n == nil {
		return nil, errors.New("nothing on the page can be clicked: no element has hx-ws:send, ws-send, hx-post or hx-put")
	}
	a := &action{method: http.MethodPost, values: values(n)}
	ref := attribute(n, "hx-post")
	if put := attribute(n, "hx-put"); put != "" {
		ref, a.method = put, http.MethodPut
	}
	if ref == "" {
		return a, nil
	}
	var err error
	if a.url, err = page.Parse(ref); err != nil {
		return nil, fmt.Errorf("what is clicked posts to the URL %q: %w", ref, err)
	}
	return a, nil
}

// values are the fields of the form that is clicked in, with those of its button and of hx-vals.
func values(clicked *html.Node) url.Values {
	all := make(url.Values)
	form := clicked
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil {
		form = clicked
	}
	button := false
	add := func(n *html.Node) {
		submits := n.Data == "button" || attribute(n, "type") == "submit"
		name := attribute(n, "name")
		if name == "" || submits && (button || clicked.Data != "form" && n != clicked) {
			return
		}
		button = button || submits
		all.Add(name, attribute(n, "value"))
	}
	if form == clicked || clicked.Data != "form" {
		add(clicked)
	}
	for n := range form.Descendants() {
		if n != clicked && (n.Data == "input" || n.Data == "button") {
			add(n)
		}
	}
	var more map[string]any
	if json.Unmarshal([]byte(attribute(clicked, "hx-vals")), &more) == nil {
		for k, v := range more {
			all.Set(k, fmt.Sprint(v))
		}
	}
	return all
}

func socketForm(values url.Values) []byte {
	m := map[string]any{}
	for k := range values {
		m[k] = values.Get(k)
	}
	headers := map[string]string{"HX-Request": "true"}
	maps.Copy(m, map[string]any{"headers": headers, "HEADERS": headers}) // htmx 4, htmx 2
	b, err := json.Marshal(m)
	if err != nil {
		panic("protocol: strings don't encode: " + err.Error())
	}
	return b
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// state is the first number of a text as a state: its own version.
func (h *HTMX) state(text string) (State, bool) {
	digits := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return r
		case r == '-' || r == '−':
			return '-'
		}
		return -1
	}, h.digits.FindString(text))
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return State{}, false
	}
	return State{Version: uint64(n) + 1<<63, Count: n}, true // negative ones are smaller, too
}
