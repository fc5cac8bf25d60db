package e2e_test

import (
	"bufio"
	"context"
	bigendian "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The loopback network has an address for each role: limits of an address hold
// for all of them but the auditor's.
const (
	hostile  = "127.0.0.66" // the attacker
	honest   = "127.0.0.77" // an honest visitor, whom an attack must not hurt
	newcomer = "127.0.0.88" // a visitor who comes while the attack lasts
	auditor  = "127.0.0.99" // a visitor who looks at what came of it
)

// A visitor is somebody at an address of their own.
type visitor struct {
	v    *victim
	addr string
	http *http.Client
}

// from returns the visitor at an address.
func (v *victim) from(addr string) *visitor {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.visitors[addr] == nil {
		v.visitors[addr] = newVisitor(v, addr)
	}
	return v.visitors[addr]
}

func newVisitor(v *victim, addr string) *visitor {
	s := &visitor{v: v, addr: addr}
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dialContext(ctx) },
		DisableCompression: true,
	}
	v.Cleanup(transport.CloseIdleConnections)
	s.http = &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

func (s *visitor) dialContext(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.addr)}, Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", s.v.p.addr())
	if err != nil {
		return nil, err
	}
	// Floods open more connections than there are ports, if each port rests.
	_ = c.(*net.TCPConn).SetLinger(0)
	return c, nil
}

// dial opens a connection that lives no longer than the attack. It is the
// caller's to close.
func (s *visitor) dial() (net.Conn, error) {
	c, err := s.dialContext(context.Background())
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience + s.v.lasts(time.Minute, 0)))
}

// An answer is an HTTP response; status 0 means that there was none, and body
// says why.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks for a path as it is, with headers such as "Origin: null".
func (s *visitor) get(path string, headers ...string) answer {
	return s.request(http.MethodGet, path, "", headers...)
}

// post sends a form.
func (s *visitor) post(path string, form url.Values, headers ...string) answer {
	return s.request(http.MethodPost, path, form.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

func (s *visitor) request(method, path, body string, headers ...string) answer {
	s.v.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.v.host(), strings.NewReader(body))
	if err != nil {
		s.v.Fatal(err)
	}
	req.URL.Opaque = path // as it is
	addHeaders(req, headers)
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// addHeaders adds headers such as "Origin: null" to a request.
func addHeaders(req *http.Request, headers []string) {
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
}

// raw sends bytes, and returns what comes until the other side ends it. They
// should ask for that.
func (s *visitor) raw(request string) string {
	s.v.Helper()
	c, err := s.dial()
	if err != nil {
		s.v.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return "" // it was refused while it was sent
	}
	b, _ := io.ReadAll(c) // whatever ends it
	return string(b)
}

// An opened is what a page gives to a visitor who opens it.
type opened struct {
	pageWire
	cookie string // name=value
	spare  string // the cookie that has the session under a name of its own
	html   string
}

// session is the name of the visitor's session, as the cookie has it.
func (p opened) session() string {
	_, value, _ := strings.Cut(p.cookie, "=")
	id, _, _ := strings.Cut(value, ".")
	return id
}

var (
	loadPattern    = regexp.MustCompile(`(?:\ssrc|rel="(?:stylesheet|icon)"[^>]* href)="([^"]+)"`)
	programPattern = regexp.MustCompile(`data-program="([^"]+)"`)
)

// visit opens a page.
func (s *visitor) visit(path string, headers ...string) (p opened, err error) {
	a := s.get(path, headers...)
	if a.status != http.StatusOK {
		return p, fmt.Errorf("GET %s: %d %s", path, a.status, a.body)
	}
	p.html = a.body
	p.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	if set := a.header.Values("Set-Cookie"); len(set) > 1 {
		p.spare, _, _ = strings.Cut(set[1], ";")
	}
	if p.pageWire, err = readPage(a.body); err == nil && (p.cookie == "" || len(p.forms) == 0) {
		err = fmt.Errorf("no cookie, or no form: %s", a.body)
	}
	return p, err
}

// mustVisit opens a page that must be there.
func (s *visitor) mustVisit(path string, headers ...string) opened {
	s.v.Helper()
	p, err := s.visit(path, headers...)
	if err != nil {
		s.v.Fatal(err)
	}
	return p
}

// A rawSocket is a websocket by hand: it sends what no library would.
type rawSocket struct {
	net.Conn
	r *bufio.Reader
}

// upgrade asks for a websocket. Without one, s is nil and the status says why;
// 0 is a connection that was cut.
func (s *visitor) upgrade(path string, headers ...string) (_ *rawSocket, status int) {
	s.v.Helper()
	c, err := s.dial()
	if err != nil {
		return nil, 0
	}
	head := "GET " + path + " HTTP/1.1\r\nHost: " + s.v.host() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bm90IGEgc2VjcmV0IGtleQ==\r\n"
	for _, h := range headers {
		head += h + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		_ = c.Close()
		return nil, 0
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		_ = c.Close()
		return nil, 0
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		_ = c.Close()
		return nil, resp.StatusCode
	}
	s.v.Cleanup(func() { _ = c.Close() })
	return &rawSocket{c, r}, resp.StatusCode
}

// rooms is the path of the socket of a page, for a client without a cookie.
func (v *victim) rooms(page string) string {
	v.Helper()
	v.mu.Lock()
	socket := v.sockets[page]
	v.mu.Unlock()
	if socket == "" {
		socket = withoutToken(v.from(auditor).mustVisit(page).socket)
		v.from(auditor).http.CloseIdleConnections() // where there is no room for more, one that is kept would do
		v.mu.Lock()
		v.sockets[page] = socket
		v.mu.Unlock()
	}
	return socket
}

// lobbyRooms is the path of the socket of the lobby.
func (v *victim) lobbyRooms() string { v.Helper(); return v.rooms(v.page("lobby")) }

// connect opens the socket of a counter as a client without a cookie may.
func (s *visitor) connect(name string, headers ...string) *rawSocket {
	s.v.Helper()
	return s.connectTo(s.v.page(name), headers...)
}

// connectTo is connect for any page.
func (s *visitor) connectTo(page string, headers ...string) *rawSocket {
	s.v.Helper()
	ws, status := s.upgrade(s.v.rooms(page), headers...)
	if ws == nil {
		s.v.Fatalf("no socket: %d", status)
	}
	return ws
}

// First bytes of frames (RFC 6455 §5.2).
const (
	finText   = 0x81
	finBinary = 0x82
	finClose  = 0x88
	finPing   = 0x89
	finPong   = 0x8a
	justText  = 0x01 // more frames follow
	more      = 0x00
	finMore   = 0x80
	rsv1      = 0x40
)

// masked makes a frame as clients must.
func masked(first byte, payload []byte) []byte {
	mask := [4]byte{1, 2, 3, 4}
	b := frameHead(first, 0x80, len(payload))
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// unmasked makes a frame as clients must not.
func unmasked(first byte, payload []byte) []byte {
	return append(frameHead(first, 0, len(payload)), payload...)
}

func frameHead(first, maskBit byte, n int) []byte {
	switch {
	case n < 126:
		return []byte{first, maskBit | byte(n)}
	case n < 1<<16:
		return bigendian.BigEndian.AppendUint16([]byte{first, maskBit | 126}, uint16(n))
	}
	return bigendian.BigEndian.AppendUint64([]byte{first, maskBit | 127}, uint64(n))
}

// text sends a message. The next read reports an error.
func (ws *rawSocket) text(message string) { _, _ = ws.Write(masked(finText, []byte(message))) }

// next reads one frame of the server.
func (ws *rawSocket) next() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(ws.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(ws.r, b[:])
		n = uint64(bigendian.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(ws.r, b[:])
		n = bigendian.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if n > 1<<20 {
		return 0, nil, errors.New("a frame of more than 1 MB")
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(ws.r, payload)
	return head[0] & 0x0f, payload, err
}

// A said is what the server says to a tab.
type said struct {
	heard
	code int  // of a close frame; 0: it is none
	cut  bool // the connection has ended
}

// hear returns the next message, or the end.
func (ws *rawSocket) hear() said {
	for {
		opcode, payload, err := ws.next()
		switch {
		case err != nil:
			return said{cut: true}
		case opcode == 8 && len(payload) >= 2:
			return said{code: int(bigendian.BigEndian.Uint16(payload))}
		case opcode == 9:
			_, _ = ws.Write(masked(finPong, payload)) // as browsers do by themselves; it may have been closed
			continue
		case opcode != 1:
			continue
		}
		var m said
		if err := json.Unmarshal(payload, &m.heard); err != nil {
			return said{heard: heard{Error: "not a message: " + string(payload)}}
		}
		return m
	}
}

// verdict returns what the server says to what was sent last: an answer, a refusal, or the end.
func (ws *rawSocket) verdict() said {
	for {
		m := ws.hear()
		if m.answers() || m.Error != "" || m.code != 0 || m.cut {
			return m
		}
	}
}

// nothing is a message that is refused, whatever comes of those before it: its topic is none.
// What answers it is not asked of the store.
func nothing() string { return clickText(newOpOn(nowhere)) }

// nowhere is a topic that there is not.
const nowhere = "nothing:here"

// shown returns the next state of a topic, or a refusal, or the end.
func (ws *rawSocket) shown(topic string) said {
	for {
		m := ws.hear()
		if m.T == topic && m.Content+m.State != "" || m.Error != "" || m.code != 0 || m.cut {
			return m
		}
	}
}

// String implements fmt.Stringer.
func (m said) String() string {
	switch {
	case m.cut:
		return "cut off"
	case m.code != 0:
		return fmt.Sprintf("closed with %d", m.code)
	case len(m.Ack) > 0:
		return "acknowledged"
	case m.Retry:
		return "to be sent again: " + m.reason()
	case m.Settled:
		return "settled"
	case m.Old:
		return "old"
	case m.reason() != "":
		return "refused: " + m.reason()
	}
	return "shown"
}
