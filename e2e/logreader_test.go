package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
)

// A logEntry is one of a log, as a reader has it.
type logEntry struct {
	n        uint64
	id, text string
}

// UnmarshalJSON reads what collectLog returns: the number, the id and the text.
func (e *logEntry) UnmarshalJSON(raw []byte) error {
	var parts [3]string
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	n, err := strconv.ParseUint(parts[0], 10, 64)
	*e = logEntry{n, parts[1], parts[2]}
	return err
}

// logReaders are readers of one log, of every form.
type logReaders struct {
	t           *testing.T
	path, topic string
	limit       time.Duration // of all that is waited for
	all         []logReader
}

// A logReader follows a log.
type logReader struct {
	name string
	// read returns all that the reader has from the first entry on; it looks for older ones.
	read func() ([]logEntry, error)
	// wrong is what must never have happened. Nil: nothing is known of that.
	wrong func() []string
}

func newLogReaders(t *testing.T, path, topic string, limit time.Duration) *logReaders {
	return &logReaders{t: t, path: path, topic: topic, limit: limit}
}

// end waits until all readers have the same.
func (rs *logReaders) end(want []logEntry) {
	rs.t.Helper()
	for _, r := range rs.all {
		within(rs.t, rs.limit, "the reader that "+r.name+" to have all", func() error {
			got, err := r.read()
			if err == nil && differ(got, want) != "" {
				err = errors.New(differ(got, want))
			}
			return err
		})
		if r.wrong == nil {
			continue
		}
		for _, what := range r.wrong() {
			rs.t.Errorf("the reader that %s: %s", r.name, what)
		}
	}
}

// collectLog is all that a page shows of a log; before that it is scrolled up until nothing
// older is left. Then nothing may be pending.
const collectLog = `(() => {
  const older = document.querySelector('a.older'), box = document.querySelector('[data-stick]');
  if (!older.hidden) { box.scrollTop = box.scrollTop ? 0 : 1; return ''; }
  return JSON.stringify([...document.querySelectorAll('#log > li')]
    .map((li) => [li.dataset.n ?? '', li.id.slice(2), li.querySelector('span').textContent]));
})()`

// tab opens a page in Chromium.
func (rs *logReaders) tab(browser context.Context, name, base string) *page {
	rs.t.Helper()
	p := newPage(rs.t, browser)
	p.navigate(base + rs.path)
	rs.all = append(rs.all, logReader{name: "in Chromium " + name, read: func() (all []logEntry, err error) {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		got, err := p.tab.evaluate(ctx, collectLog)
		switch {
		case err != nil:
			return nil, err
		case got == "":
			return nil, errors.New("it looks for older entries")
		}
		return all, json.Unmarshal([]byte(got), &all)
	}})
	return p
}

// run runs a reader until the test ends.
func (rs *logReaders) run(live func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { live(ctx) })
	rs.t.Cleanup(func() { cancel(); running.Wait() })
}

// A gathering is the entries that a reader has got; methods may be called concurrently.
type gathering struct {
	mu     sync.Mutex
	all    []logEntry
	errs   []string
	fresh  int // how often it had to begin afresh
	epochs int // how often the store has lost data
}

// take takes in an entry, and reports whether it is known, or the next.
func (g *gathering) take(e logEntry) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := uint64(len(g.all))
	switch {
	case e.n == last+1:
		g.all = append(g.all, e)
	case e.n > last+1:
		return false
	case e.n == 0 || g.all[e.n-1] != e:
		g.errs = append(g.errs, fmt.Sprintf("there is another entry of a number: %+v", e))
	}
	return true
}

func (g *gathering) cry(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs = append(g.errs, fmt.Sprintf(format, args...))
}

// cut forgets what comes behind an entry.
func (g *gathering) cut(n uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = g.all[:min(n, uint64(len(g.all)))]
}

func (g *gathering) last() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return uint64(len(g.all))
}

func (g *gathering) reader(name string) logReader {
	return logReader{
		name: name,
		read: func() ([]logEntry, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return slices.Clone(g.all), nil
		},
		wrong: func() []string {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.errs
		},
	}
}

// A socketReader is a tab that is not a browser, of a log: it has what the page has, what
// frames say, and what it asks for when it has missed entries.
type socketReader struct {
	gathering
	t     *testing.T
	path  string
	topic string
	bases []string
	http  *http.Client
	kick  chan struct{} // of size 1: load the page again, or look whether it is away

	state struct { // guarded by gathering.mu
		renew, away bool
	}

	socket string // owned by live, with the rest
	e, v   uint64 // what is shown
}

// socket opens a page as a program does, at the first of the replicas that answers.
func (rs *logReaders) socket(name string, bases ...string) *socketReader {
	rs.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		rs.t.Fatal(err)
	}
	r := &socketReader{
		t: rs.t, path: rs.path, topic: rs.topic, bases: bases, kick: make(chan struct{}, 1),
		http: &http.Client{Jar: jar, Timeout: 5 * time.Second},
	}
	r.state.renew = true
	rs.all = append(rs.all, r.reader("has a socket and "+name))
	rs.run(r.live)
	return r
}

// reload has the page loaded again.
func (r *socketReader) reload() { r.set(func() { r.state.renew = true }) }

// leave and comeBack are the end of the connection, and of the time without one.
func (r *socketReader) leave() { r.set(func() { r.state.away = true }) }

func (r *socketReader) comeBack() { r.set(func() { r.state.away = false }) }

func (r *socketReader) set(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// starts is how often the reader had to begin afresh.
func (r *socketReader) starts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh
}

// losses is how often the reader was told that the store has lost data.
func (r *socketReader) losses() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epochs
}

// live keeps a connection until ctx ends.
func (r *socketReader) live(ctx context.Context) {
	for ctx.Err() == nil {
		for _, base := range r.bases {
			_ = r.visit(ctx, base) // whatever ended it: the next
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// visit is one connection, from its beginning to its end.
func (r *socketReader) visit(ctx context.Context, base string) error {
	r.mu.Lock()
	now := r.state
	r.mu.Unlock()
	if now.away {
		return nil
	}
	if now.renew {
		if err := r.load(ctx, base); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, base+r.socket, &websocket.DialOptions{
		HTTPClient: &http.Client{Jar: r.http.Jar}, HTTPHeader: http.Header{"Origin": {base}},
	})
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 22)
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	go func() { // ends with the connection
		defer close(done)
		select {
		case <-r.kick:
			cancel()
		case <-ctx.Done():
		}
	}()
	return r.follow(ctx, base, ws)
}

// follow reads what a connection says.
func (r *socketReader) follow(ctx context.Context, base string, ws *websocket.Conn) error {
	hello := func() error {
		text := fmt.Sprintf(`{"hello":%d,"client":%q,"at":{%q:[%d,%d]}}`, htmx.Protocol, newClientID(), r.topic, r.e, r.v)
		return ws.Write(ctx, websocket.MessageText, []byte(text))
	}
	if err := hello(); err != nil {
		return err
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, 10*time.Second) // statuses come more often
		_, text, err := ws.Read(quiet)
		cancel()
		if err != nil {
			return err
		}
		var m logFrame
		if err := json.Unmarshal(text, &m); err != nil {
			r.cry("%s is no message: %v", text, err)
			continue
		}
		if m.T != r.topic || !strings.Contains(m.Content, "<hx-list ") {
			continue
		}
		fits, err := r.take(ctx, base, m)
		if err != nil {
			return err
		}
		if !fits {
			if err := hello(); err != nil {
				return err
			}
		}
	}
}

// A logFrame is a message that shows a log.
type logFrame struct {
	T, Content string
	E, V       uint64
	A          *uint64
	Back       bool
}

var (
	listPattern  = regexp.MustCompile(`<hx-list hx-target="#log"( all)?(?: gap="\d+")?>`)
	entryPattern = regexp.MustCompile(`<li id="m-([^"]+)" data-n="(\d+)"[^>]*>.*?<span>(.*?)</span>`)
	pageVersion  = regexp.MustCompile(`<section[^>]* id="log-room"[^>]* data-version="(\d+)" data-epoch="(\d+)"`)
)

// entriesIn returns the entries of a piece of page.
func entriesShown(content string) (all []logEntry) {
	for _, m := range entryPattern.FindAllStringSubmatch(content, -1) {
		n, _ := strconv.ParseUint(m[2], 10, 64) // digits; 0 is no entry's number
		all = append(all, logEntry{n, m[1], html.UnescapeString(m[3])})
	}
	return all
}

// take takes a frame in, and reports false when it does not fit what is shown.
func (r *socketReader) take(ctx context.Context, base string, m logFrame) (fits bool, err error) {
	list := listPattern.FindStringSubmatch(m.Content)
	if list == nil {
		r.cry("not a list of the contract: %s", m.Content)
		return true, nil
	}
	switch {
	case m.A != nil && (m.E != r.e || r.v < *m.A):
		return false, nil
	case m.E < r.e || m.E == r.e && m.V < r.v && !m.Back:
		return true, nil // it is older
	case m.A == nil && list[1] == "":
		r.cry("a frame for everyone is not whole: %s", m.Content)
	}
	all := entriesShown(m.Content)
	if m.E > r.e || m.Back {
		r.begin(m, all)
	}
	for i, e := range all {
		if r.gathering.take(e) {
			continue
		}
		if list[1] == "" || i > 0 {
			r.cry("entry %d follows %d, in a frame that leads on: %s", e.n, r.last(), m.Content)
			return true, errors.New("a gap")
		}
		r.mu.Lock()
		r.fresh++
		r.mu.Unlock()
		if err := r.older(ctx, base, e.n); err != nil {
			return true, err
		}
		if !r.gathering.take(e) {
			r.cry("pages have no entry before %d but %d", e.n, r.last())
		}
	}
	r.e, r.v = m.E, m.V
	return true, nil
}

// begin forgets what a whole frame says that never was.
func (r *socketReader) begin(m logFrame, all []logEntry) {
	if m.E > r.e {
		r.cut(0)
		r.mu.Lock()
		r.epochs++
		r.mu.Unlock()
		return
	}
	if len(all) > 0 {
		r.cut(all[0].n - 1)
	}
}

// load opens the page and goes on from what it shows.
func (r *socketReader) load(ctx context.Context, base string) error {
	body, err := r.get(ctx, base+r.path, false)
	if err != nil {
		return err
	}
	p, err := readPage(body)
	if err != nil {
		return err
	}
	at := pageVersion.FindStringSubmatch(body)
	if at == nil {
		return fmt.Errorf("no log in the page: %s", body)
	}
	r.socket = p.socket
	r.v, _ = strconv.ParseUint(at[1], 10, 64) // digits
	r.e, _ = strconv.ParseUint(at[2], 10, 64)
	r.cut(0)
	all := entriesShown(body)
	if len(all) > 0 {
		if err := r.older(ctx, base, all[0].n); err != nil {
			return err
		}
	}
	for _, e := range all {
		if !r.gathering.take(e) {
			r.cry("entry %d follows %d in a page", e.n, r.last())
		}
	}
	r.mu.Lock()
	r.state.renew = false
	r.mu.Unlock()
	return nil
}

// older asks for the pages before an entry, as far as the last that is known, and takes their
// entries.
func (r *socketReader) older(ctx context.Context, base string, before uint64) error {
	last := r.last()
	var found []logEntry
	for before > last+1 {
		body, err := r.get(ctx, base+r.path+"?before="+strconv.FormatUint(before, 10), true)
		if err != nil {
			return err
		}
		all := entriesShown(body)
		if len(all) == 0 || all[len(all)-1].n != before-1 {
			return fmt.Errorf("a page before %d: %s", before, body)
		}
		found = append(all, found...)
		before = all[0].n
	}
	for _, e := range found {
		if !r.gathering.take(e) {
			r.cry("entry %d follows %d in older pages", e.n, r.last())
		}
	}
	return nil
}

// get returns a page, or a part of one.
func (r *socketReader) get(ctx context.Context, url string, part bool) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if part {
		req.Header.Set("HX-Request", "true")
	}
	code, body, err := fetchBy(r.http, req)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", url, code, body)
	}
	return body, err
}

// A programReader reads the entries of a log without a page.
type programReader struct {
	gathering
	url   []string
	place string // behind the last entry; "": the beginning
}

// events follows a log as a stream of events.
func (rs *logReaders) events(name string, bases ...string) {
	rs.program("reads events and "+name, bases, (*programReader).stream)
}

// polls follows a log by requests that wait.
func (rs *logReaders) polls(name string, bases ...string) {
	rs.program("asks again and again and "+name, bases, (*programReader).poll)
}

// program has a program read a log, at the first replica that answers.
func (rs *logReaders) program(name string, bases []string, read func(r *programReader, ctx context.Context, url string) error) {
	r := new(programReader)
	for _, base := range bases {
		r.url = append(r.url, base+rs.path+"/entries")
	}
	rs.all = append(rs.all, r.reader(name))
	rs.run(func(ctx context.Context) {
		for ctx.Err() == nil {
			for _, at := range r.url {
				for read(r, ctx, at) == nil && ctx.Err() == nil { // until it fails
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

// numberedEntry is how readers are told of an entry.
type numberedEntry struct {
	N  uint64
	ID string
	M  struct{ Text string }
}

func (r *programReader) got(raw []byte) {
	var e numberedEntry
	if err := json.Unmarshal(raw, &e); err != nil {
		r.cry("%s is no entry: %v", raw, err)
		return
	}
	if !r.take(logEntry{e.N, e.ID, e.M.Text}) {
		r.cry("entry %d follows %d", e.N, r.last())
	}
}

// again begins anew: the store has lost data, or the log does not have the place any more.
func (r *programReader) again() {
	r.cut(0)
	r.mu.Lock()
	r.epochs++
	r.mu.Unlock()
}

// stream is one answer that stays open.
func (r *programReader) stream(ctx context.Context, at string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if r.place != "" {
		req.Header.Set("Last-Event-ID", r.place)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var event, id string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
		case name == "id":
			id = value
		case name == "data" && event == "gap":
			r.again()
		case name == "data":
			r.got([]byte(value))
			r.place = id
		case name == "":
			event = ""
		}
	}
	return errors.Join(lines.Err(), errors.New("the stream has ended"))
}

// poll is one request.
func (r *programReader) poll(ctx context.Context, at string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	q := url.Values{"wait": {"2s"}, "after": {r.place}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	code, body, err := fetch(req)
	if err != nil {
		return err
	}
	var p struct {
		Next    string
		Gap     bool
		Entries []json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || code != http.StatusOK {
		return fmt.Errorf("%d %s", code, body)
	}
	if p.Gap {
		r.again()
	}
	for _, e := range p.Entries {
		r.got(e)
	}
	r.place = p.Next
	return nil
}
