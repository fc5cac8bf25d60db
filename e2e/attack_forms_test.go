package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Guards of readers of logs, files, boards and forms.

func readLogsGuard() guard {
	return guard{
		"how many logs an address reads", "serve/entries.go",
		"case logs[topic] == 0 && len(logs) >= maxLogs:", "case !WITHOUT && logs[topic] == 0 && len(logs) >= maxLogs:",
	}
}

func completeGuard() guard {
	return guard{"what is complete stays", "upload/folder.go", "case u.done:\n\t\treturn errComplete", "case u.done && !WITHOUT:\n\t\treturn errComplete"}
}

func uploadsGuard() guard {
	return guard{
		"files that an address begins", "serve/uploads.go",
		"!h.limiter.uploads.Allow(addr)", "!WITHOUT && !h.limiter.uploads.Allow(addr)",
	}
}

func uploadSizeGuard() guard {
	return guard{"size of a file", "upload/tus.go", "case size > h.opts.MaxSize:", "case !WITHOUT && size > h.opts.MaxSize:"}
}

func uploadTypeGuard() guard {
	return guard{
		"type of a file, by its content", "upload/folder.go",
		"if f.opts.Types != nil && !slices.Contains(f.opts.Types, u.Type) {", "if !WITHOUT && f.opts.Types != nil && !slices.Contains(f.opts.Types, u.Type) {",
	}
}

func castsGuard() guard {
	return guard{"casts of a tab", "soft.go", "if st.left || !st.bucket.Allow() {", "if st.left || !WITHOUT && !st.bucket.Allow() {"}
}

func boardShareGuard() guard {
	return guard{"an address has a quarter of a board", "soft.go", "owner, raw, st.share)", "owner, raw, pick[any](WITHOUT, nil, st.share))"}
}

func checksGuard() guard {
	return guard{"checks of a tab", "check.go", "!v.checks.allow(v.app.rt.Clock())", "!WITHOUT && !v.checks.allow(v.app.rt.Clock())"}
}

func publicGuard() guard {
	return guard{
		"tabs that render themselves are not told addresses", "check.go",
		"c.kind.Write(c.public(s))", "c.kind.Write(pick(WITHOUT, s, c.public(s)))",
	}
}

// readerAttacks are on readers of logs over HTTP, files, boards and forms.
func readerAttacks() []attack {
	files := []string{"-uploads", "uploads"}
	return []attack{
		{
			name: "flood of readers that wait", needs: "log over HTTP", flood: true, flags: []string{"-max-conns-per-addr", "50", "-request-rate", "0"},
			guards: []guard{socketsGuard(), connsGuard()}, run: func(v *victim) error { return holdReaders(v, 100, 50, "lobby") },
		},
		{
			name: "readers of logs that there are not", needs: "log over HTTP", flood: true, flags: []string{"-request-rate", "0", "-max-conns-per-addr", "0"},
			guards: []guard{readLogsGuard()}, refused: `lockstep_turned_away_total{reason="sockets_of_address"`,
			run: func(v *victim) error { return holdReaders(v, 130, 100, "l%d") },
		},
		{
			name: "places that are in no log", needs: "log over HTTP", why: "a place is two numbers, and a number beyond the end is a gap", run: wrongPlaces,
		},
		{
			name: "a file of somebody else deleted", needs: "uploads", flags: files, guards: []guard{completeGuard()}, run: deleteFile,
		},
		{
			name: "flood of files", needs: "uploads", flood: true, flags: append([]string{"-uploads-per-addr", "20"}, files...), guards: []guard{uploadsGuard()},
			refused: `lockstep_turned_away_total{reason="uploads_of_address"`,
			run: func(v *victim) error {
				begun := 0
				for range 40 {
					if id, _ := v.from(hostile).begin(v, 100); id != "" {
						begun++
					}
				}
				if begun > 20 {
					return fmt.Errorf("%d files are begun, where 20 are allowed", begun)
				}
				return nil
			},
		},
		{
			name: "a file that is too large", needs: "uploads", flags: files, guards: []guard{uploadSizeGuard()},
			run: func(v *victim) error {
				if id, _ := v.from(hostile).begin(v, 6<<20); id != "" {
					return errors.New("one of 6 MB is taken")
				}
				return nil
			},
		},
		{
			name: "a page for a picture", needs: "uploads", flags: files, guards: []guard{uploadTypeGuard()},
			run: func(v *victim) error {
				const page = "<!DOCTYPE html><script>alert(1)</script>"
				id, _ := v.from(hostile).begin(v, len(page))
				v.from(hostile).piece(v, id, page)
				if a := v.from(honest).get("/uploads/" + id); a.status == http.StatusOK {
					return errors.New("it is served")
				}
				return nil
			},
		},
		{
			name: "files of pages of another origin", needs: "uploads", flags: files, guards: []guard{sameOriginGuard()},
			run: func(v *victim) error {
				if id, _ := v.from(hostile).begin(v, 100, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site"); id != "" {
					return errors.New("one is begun")
				}
				return nil
			},
		},
		{
			name: "paths for ids of files", needs: "uploads", flags: files, why: "an id is 26 of 32 letters, and the last element of a path", run: wrongFiles,
		},
		{
			name: "flood of casts", flood: true, guards: []guard{castsGuard()}, run: floodCasts,
		},
		{
			name: "a board full of one address", needs: "board", flags: []string{"-request-rate", "0", "-tab-rate", "0", "-addr-rate", "0"}, guards: []guard{boardShareGuard()}, run: fillBoard,
		},
		{
			name: "a cursor in somebody else's name", needs: "board", why: "an owner begins with the name of the session's person, and a tab adds letters and digits alone", run: forgeCursor,
		},
		{
			name: "flood of checks", needs: "sign-up", flood: true, guards: []guard{checksGuard()}, run: floodChecks,
		},
		{
			name: "addresses of who has signed up", needs: "sign-up", guards: []guard{publicGuard()}, run: readAddresses,
		},
	}
}

// holdReaders holds streams of logs, and counts what it gets.
func holdReaders(v *victim, tries, allowed int, name string) error {
	held := 0
	for i := range tries {
		log := name
		if strings.Contains(name, "%d") {
			log = fmt.Sprintf(name, i)
		}
		if v.from(hostile).reads("/log/" + log + "/entries") {
			held++
		}
	}
	if held > allowed {
		return fmt.Errorf("one address holds %d readers, where %d are allowed", held, allowed)
	}
	return nil
}

// reads reports whether it has got a stream of entries, which it holds until the attack ends.
func (s *visitor) reads(path string) bool {
	c, err := s.dial()
	if err != nil {
		return false
	}
	_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+s.v.host()+"\r\nAccept: text/event-stream\r\n\r\n") // it may be cut off
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		_ = c.Close()
		return false
	}
	s.v.Cleanup(func() { _ = c.Close() }) // its body ends with it
	return true
}

// wrongPlaces asks for what can't be there, and looks whether somebody else can read.
func wrongPlaces(v *victim) error {
	if why := v.from(honest).connectTo(lobbyLog).does(logRoom, "say", "text", "hello"); why != "" {
		v.Fatal(why)
	}
	huge := strings.Repeat("9", 19)
	for _, query := range []string{
		"after=" + huge, "after=18446744073709551615", "after=-2", "after=x", "after=" + strings.Repeat("f", 16) + "_" + strings.Repeat("f", 16), "after=" + strings.Repeat("9", 5000),
		"offset=" + huge, "offset=-1&live=x", "offset=", "live=sse", "after=0&most=" + huge, "most=-1", "most=0", "wait=x", "wait=-1s", "wait=1000000h&after=0", "after=%00", "after=%22%3E",
	} {
		began := time.Now()
		a := v.from(hostile).get("/log/lobby/entries?" + query)
		if a.status == 0 || a.status >= 500 || time.Since(began) > patience/2 {
			return fmt.Errorf("%.40s: %d after %v", query, a.status, time.Since(began))
		}
		if injected(a.body) || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Access-Control-Allow-Origin") != "" {
			return fmt.Errorf("%.40s: the answer may be taken for something else: %v", query, a.header)
		}
	}
	if a := v.from(honest).get("/log/lobby/entries"); !strings.Contains(a.body, `"hello"`) {
		return fmt.Errorf("somebody else reads %d %s", a.status, a.body)
	}
	return nil
}

// begin begins a file, and returns its id; "": it is refused.
func (s *visitor) begin(v *victim, size int, headers ...string) (id string, a answer) {
	a = s.request(http.MethodPost, "/uploads/", "", append(headers, "Tus-Resumable: 1.0.0", fmt.Sprint("Upload-Length: ", size))...)
	if a.status != http.StatusCreated {
		return "", a
	}
	return a.header.Get("Location"), a
}

// piece sends all of a file.
func (s *visitor) piece(v *victim, id, content string) answer {
	return s.request(http.MethodPatch, "/uploads/"+id, content, "Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
}

// smallest is a picture.
const smallest = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"

// deleteFile deletes a picture that a page shows.
func deleteFile(v *victim) error {
	id, a := v.from(honest).begin(v, len(smallest))
	if id == "" {
		v.Fatalf("a picture is refused: %d %s", a.status, a.body)
	}
	if a := v.from(honest).piece(v, id, smallest); a.status != http.StatusNoContent {
		v.Fatalf("a picture is refused: %d %s", a.status, a.body)
	}
	for _, way := range [][]string{{http.MethodDelete}, {http.MethodPost, "X-HTTP-Method-Override: DELETE"}, {http.MethodPatch, "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"}} {
		v.from(hostile).request(way[0], "/uploads/"+id, "", append(way[1:], "Tus-Resumable: 1.0.0")...)
	}
	if a := v.from(newcomer).get("/uploads/" + id); a.status != http.StatusOK || a.body != smallest {
		return fmt.Errorf("the picture is gone: %d", a.status)
	}
	return nil
}

// wrongFiles asks for files by what is no id.
func wrongFiles(v *victim) error {
	for _, id := range []string{
		"..%2f..%2fetc%2fpasswd", "%2e%2e%2flockstep.db", "....//", strings.Repeat("a", 26), strings.Repeat("A", 26), strings.Repeat("a", 25) + "%00", strings.Repeat("a", 26) + ".json",
		strings.Repeat("a", 26) + "%2f..%2f..", "x%0d%0aX-Injected:%201", `..%5c..%5cboot.ini`, strings.Repeat("a", 5000),
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodDelete} {
			a := v.from(hostile).request(method, "/uploads/"+id, "", "Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
			if a.status < 300 || a.status >= 500 || a.header.Get("X-Injected") != "" {
				return fmt.Errorf("%s of %.40q: %d", method, id, a.status)
			}
		}
	}
	return nil
}

const boardPage = "/soft/lobby"

// spot casts where a cursor is.
func spot(tab string, x int) string {
	return fmt.Sprintf(`{"cast":"here","t":"soft:lobby","in":{"tab":%q,"x":%d,"y":1}}`, tab, x)
}

// board returns what comes to a tab until a text does, or nothing for a while.
func (ws *rawSocket) board(text string) string {
	var all strings.Builder
	_ = ws.SetReadDeadline(time.Now().Add(3 * time.Second)) // the read fails too
	for !strings.Contains(all.String(), text) {
		_, payload, err := ws.next()
		if err != nil {
			break
		}
		if strings.Contains(string(payload), `"soft"`) {
			all.Write(payload)
		}
	}
	return all.String()
}

// atBoard opens the page of a board, which has no forms.
func (s *visitor) atBoard(v *victim) (p opened) {
	p.cookie = s.mustVisit(v.page("lobby")).cookie
	var err error
	if p.pageWire, err = readPage(s.get(v.app.board, "Cookie: "+p.cookie).body); err != nil {
		v.Fatal(err)
	}
	return p
}

// sits opens a tab at a board, of a session.
func (s *visitor) sits(v *victim) (*rawSocket, opened) {
	p := s.atBoard(v)
	ws, status := s.upgrade(p.socket, "Cookie: "+p.cookie, "Origin: "+v.p.url)
	if ws == nil {
		v.Fatalf("no socket: %d", status)
	}
	return ws, p
}

func floodCasts(v *victim) error {
	for range v.rounds {
		began, before := time.Now(), v.metric("lockstep_soft_sets_total")
		ws, _ := v.from(hostile).sits(v)
		for i := range 1000 {
			ws.text(v.app.cast(i))
		}
		ws.text(nothing())
		ws.verdict()
		if allowed, sets := budget(25, 50, began), v.metric("lockstep_soft_sets_total")-before; int(sets) > allowed {
			return fmt.Errorf("%v casts of one tab are shared, where %d are allowed", sets, allowed)
		}
		_ = ws.Close()
	}
	return nil
}

// fillBoard comes over plain HTTP, each time as another tab, and looks whether somebody else is
// seen.
func fillBoard(v *victim) error {
	p := v.from(hostile).atBoard(v)
	for i := range 1100 {
		a := v.from(hostile).request(http.MethodPost, p.socket, spot(fmt.Sprintf("t%d", i), 1), "Cookie: "+p.cookie, "Origin: "+v.p.url)
		if a.status != http.StatusOK {
			v.Fatalf("got %d %s", a.status, a.body)
		}
	}
	ws, own := v.from(honest).sits(v)
	ws.text(spot("honest", 777))
	owner := own.user[:8] + ".honest"
	if got := ws.board(owner); !strings.Contains(got, owner) {
		return fmt.Errorf("somebody else's cursor is not seen")
	}
	return nil
}

// forgeCursor casts in all kinds of names.
func forgeCursor(v *victim) error {
	ws, p := v.from(honest).sits(v)
	ws.text(spot("mine", 500))
	owner := p.user[:8] + ".mine"
	ws.board(owner)
	evil, _ := v.from(hostile).sits(v)
	for _, text := range []string{
		spot("mine", 666), spot(owner, 666), spot("."+owner, 666), spot(marker, 666), spot("mine\x00", 666),
		`{"cast":"here","t":"soft:lobby","user":"` + p.user + `","in":{"tab":"mine","user":"` + p.user + `","owner":"` + owner + `","x":666,"y":1}}`,
		`{"cast":"here","t":"soft:lobby","in":{"tab":"mine","x":666666,"y":1}}`, `{"cast":"here","t":"soft:lobby","in":{"tab":"mine","x":"<x-injected>","y":1}}`,
	} {
		evil.text(text)
	}
	evil.text(spot("last", 555))
	got := ws.board(".last")
	if strings.Contains(got, `"`+owner+`":{"x":666`) || injected(got) {
		return fmt.Errorf("it is seen: %s", got)
	}
	return nil
}

// floodChecks has a form checked again and again.
func floodChecks(v *victim) error {
	for range v.rounds {
		began, answers := time.Now(), 0
		ws := v.from(hostile).connectTo("/signup/lobby")
		ws.text(`{"hello":2}`)
		ws.shown("signup:lobby") // then it is known
		for i := range 400 {
			ws.text(fmt.Sprintf(`{"cast":"check","t":"signup:lobby","in":{"name":"%d<","__proto__":"x","x":"y"}}`, i))
		}
		ws.text(nothing())
		for {
			m := ws.hear()
			if strings.Contains(m.Content, "#error-name") {
				answers++
			}
			if m.T == nowhere || m.cut {
				break
			}
		}
		if allowed := budget(25, 25, began); answers > allowed {
			return fmt.Errorf("%d checks of one tab are answered, where %d are allowed", answers, allowed)
		}
		_ = ws.Close()
	}
	return nil
}

// readAddresses looks for the address of somebody who has signed up in all that a tab is sent.
func readAddresses(v *victim) error {
	const address, topic = "ada@secret.example", "signup:lobby"
	if why := v.from(honest).connectTo("/signup/lobby").does(topic, "signup", "name", "Ada", "email", address, "team", "north"); why != "" {
		v.Fatal(why)
	}
	for i, hello := range []string{`{"hello":2}`, `{"hello":2,"as":"data"}`} {
		ws := v.from(hostile).connectTo("/signup/lobby")
		ws.text(hello)
		ws.text(`{"cast":"check","t":"signup:lobby","in":{"name":"ada","email":"` + address[:5] + `"}}`)
		op := newOpOn(topic) // everybody is sent the state
		op.do, op.in = "signup", map[string]string{"name": "Eve " + string(rune('a'+i)), "email": "eve@example.org", "team": "north"}
		ws.text(clickText(op))
		for done := false; !done; {
			m := ws.hear()
			if strings.Contains(m.Content+m.State, address) {
				return errors.New("a tab is told the address of somebody else")
			}
			if m.cut || m.code != 0 || m.Refused != nil {
				v.Fatalf("the tab is %s", m)
			}
			done = m.acks(op.ID)
		}
		_ = ws.Close()
	}
	if strings.Contains(v.from(newcomer).get("/signup/lobby").body, address) {
		return errors.New("the page has it")
	}
	return nil
}
