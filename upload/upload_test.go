package upload_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/upload"
)

// png is a file of n bytes that looks like a picture; each byte is another than its neighbours.
func png(n int) []byte {
	b := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, max(n, 8))...)[:n]
	for i := 8; i < n; i++ {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// A server is one on a folder, which can be killed and started again.
type server struct {
	t    *testing.T
	dir  string
	opts upload.Options
	*httptest.Server
}

func serve(t *testing.T, opts upload.Options) *server {
	t.Helper()
	s := &server{t: t, dir: filepath.Join(t.TempDir(), "uploads"), opts: opts}
	s.start()
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *server) start() {
	s.t.Helper()
	h, err := upload.New(s.dir, &s.opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.StripPrefix("/uploads", h))
}

// restart ends a server, and starts another on the same folder.
func (s *server) restart() {
	s.CloseClientConnections()
	s.Close()
	s.start()
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) offset() int64 {
	n, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (s *server) do(method, path string, body io.Reader, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.URL+"/uploads/"+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// begin begins an upload, and returns its id.
func (s *server) begin(size int, metadata ...string) string {
	s.t.Helper()
	a := s.do("POST", "", nil, append([]string{"Upload-Length", strconv.Itoa(size)}, metadata...)...)
	if a.status != http.StatusCreated || !upload.ValidID(a.header.Get("Location")) {
		s.t.Fatalf("got %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	return a.header.Get("Location")
}

func (s *server) send(id string, at int, piece []byte, header ...string) answer {
	s.t.Helper()
	return s.do("PATCH", id, bytes.NewReader(piece),
		append([]string{"Upload-Offset", strconv.Itoa(at), "Content-Type", "application/offset+octet-stream"}, header...)...)
}

// is checks the status and the offset of an answer; offset -1: it has none.
func is(t *testing.T, what string, a answer, status int, offset int64) {
	t.Helper()
	if a.status != status || a.offset() != offset {
		t.Errorf("%s: got %d and the offset %d, want %d and %d: %s", what, a.status, a.offset(), status, offset, a.body)
	}
}

// whole checks that a file is there as it was sent.
func (s *server) whole(id string, want []byte) {
	s.t.Helper()
	if a := s.do("GET", id, nil); a.status != http.StatusOK || a.body != string(want) {
		s.t.Errorf("got %d and %d bytes, want all %d as they were", a.status, len(a.body), len(want))
	}
}

func TestAFileArrivesInPieces(t *testing.T) {
	s := serve(t, upload.Options{Types: []string{"image/png"}})
	file := png(3000)
	id := s.begin(3000, "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("me.png")))
	is(t, "a look", s.do("HEAD", id, nil), 200, 0)
	if a := s.do("GET", id, nil); a.status != http.StatusNotFound {
		t.Errorf("got %d for what is not complete", a.status)
	}
	is(t, "the first", s.send(id, 0, file[:100]), 204, 100)
	is(t, "the second", s.send(id, 100, file[100:2000]), 204, 2000)
	is(t, "an empty one", s.send(id, 2000, nil), 204, 2000)
	is(t, "the last", s.send(id, 2000, file[2000:]), 204, 3000)
	a := s.do("HEAD", id, nil)
	is(t, "a look at the end", a, 200, 3000)
	if a.header.Get("Upload-Length") != "3000" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v", a.header)
	}
	s.whole(id, file)
	shown := s.do("GET", id, nil).header
	for name, want := range map[string]string{
		"Content-Type": "image/png", "X-Content-Type-Options": "nosniff", "Content-Disposition": "inline; filename=me.png",
		"Content-Security-Policy": "default-src 'none'; sandbox",
	} {
		if got := shown.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestUploadsThatAreNotCompleteAreCounted(t *testing.T) {
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "uploads")
	opts := &upload.Options{Clock: func() time.Time { return now }}
	s := serve(t, *opts)
	s.dir = dir
	s.restart()
	other, err := upload.New(dir, opts) // another process
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{s.begin(1), s.begin(1)} {
		now = now.Add(time.Minute)
		if got, want := other.Unfinished(), 2-i; got != want {
			t.Errorf("got %d, want %d", got, want)
		}
		is(t, "all of one", s.send(id, 0, []byte("x")), 204, 1)
	}
}

// TestPiecesThatAreLostDoubledOrElsewhereChangeNothing: whatever comes in what order, the file is
// what was sent, and a client is told where to go on.
func TestPiecesThatAreLostDoubledOrElsewhereChangeNothing(t *testing.T) {
	s := serve(t, upload.Options{})
	file := png(1000)
	id := s.begin(1000)
	is(t, "one that comes too early", s.send(id, 500, file[500:]), 409, 0)
	is(t, "the first", s.send(id, 0, file[:400]), 204, 400)
	is(t, "the same again, its answer was lost", s.send(id, 0, file[:400]), 409, 400)
	is(t, "one that overlaps", s.send(id, 300, file[300:600]), 409, 400)
	is(t, "one that leaves a gap", s.send(id, 600, file[600:]), 409, 400)
	is(t, "one that is longer than the file", s.send(id, 400, append(file[400:], 'x')), 413, 400)
	is(t, "the next", s.send(id, 400, file[400:999]), 204, 999)
	is(t, "the last", s.send(id, 999, file[999:]), 204, 1000)
	is(t, "the last again", s.send(id, 999, file[999:]), 409, 1000)
	is(t, "nothing, behind the end", s.send(id, 1000, nil), 204, 1000)
	is(t, "something, behind the end", s.send(id, 1001, []byte("x")), 409, 1000)
	s.whole(id, file)
}

// TestAPieceThatIsCutOffCountsAsFarAsItCame.
func TestAPieceThatIsCutOffCountsAsFarAsItCame(t *testing.T) {
	s := serve(t, upload.Options{})
	file := png(200_000)
	id := s.begin(len(file))
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, "PATCH", s.URL+"/uploads/"+id, r)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"} {
		req.Header.Set(name, value)
	}
	var gone sync.WaitGroup
	gone.Go(func() {
		if resp, err := s.Client().Do(req); err == nil {
			_ = resp.Body.Close()
		}
	})
	if _, err := w.Write(file[:100_000]); err != nil {
		t.Fatal(err)
	}
	for arrived := int64(0); arrived < 50_000; {
		arrived = s.do("HEAD", id, nil).offset()
	}
	other := &server{t: t, dir: s.dir, opts: s.opts}
	other.start()
	defer other.Close()
	for _, one := range []*server{s, other} {
		at := int(one.do("HEAD", id, nil).offset())
		if a := one.send(id, at, file[at:at+1]); a.status != http.StatusLocked {
			t.Errorf("got %d for a second piece at the same time", a.status)
		}
	}
	cancel()
	_ = w.CloseWithError(errors.New("gone"))
	gone.Wait()
	s.restart()
	at := int(s.do("HEAD", id, nil).offset())
	if at < 50_000 || at > 100_000 {
		t.Fatalf("got the offset %d", at)
	}
	is(t, "the rest", s.send(id, at, file[at:]), 204, int64(len(file)))
	s.whole(id, file)
}

// TestAClientThatStallsHoldsNothingUp: its piece ends, counts as far as it came, and others go on.
func TestAClientThatStallsHoldsNothingUp(t *testing.T) {
	s := serve(t, upload.Options{PieceTimeout: 200 * time.Millisecond})
	id := s.begin(100)
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = w.Write([]byte("0123456789")) }() // and no more; it ends with r
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", s.URL+"/uploads/"+id, r)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"} {
		req.Header.Set(name, value)
	}
	if resp, err := s.Client().Do(req); err == nil {
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d", resp.StatusCode)
		}
		_ = resp.Body.Close()
	}
	is(t, "a look", s.do("HEAD", id, nil), 200, 10)
	is(t, "the rest", s.send(id, 10, make([]byte, 90)), 204, 100)
}

func TestAServerThatIsStartedAgainGoesOn(t *testing.T) {
	s := serve(t, upload.Options{Types: []string{"image/png"}})
	file := png(1000)
	id := s.begin(1000, "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("me.png")))
	for at := 0; at < 1000; at += 100 {
		is(t, "a look", s.do("HEAD", id, nil), 200, int64(at))
		is(t, "a piece", s.send(id, at, file[at:at+100]), 204, int64(at+100))
		s.restart()
	}
	s.whole(id, file)
	if got := s.do("GET", id, nil).header.Get("Content-Disposition"); got != "inline; filename=me.png" {
		t.Errorf("got %q", got)
	}
}

func TestTwoServersWithOneFolderAreOne(t *testing.T) {
	s := serve(t, upload.Options{})
	other := &server{t: t, dir: s.dir, opts: s.opts}
	other.start()
	defer other.Close()
	file := png(1000)
	id := s.begin(1000)
	for at := 0; at < 1000; at += 100 {
		one, two := s, other
		if at%200 == 0 {
			one, two = other, s
		}
		is(t, "a piece", one.send(id, at, file[at:at+100]), 204, int64(at+100))
		is(t, "the same by the other", two.send(id, at, file[at:at+100]), 409, int64(at+100))
	}
	other.whole(id, file)
}

func TestUploadsAtOnceDoNotMix(t *testing.T) {
	s := serve(t, upload.Options{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			file := bytes.Repeat([]byte{byte('a' + i)}, 5000)
			id := s.begin(len(file))
			for at := 0; at < len(file); at += 500 {
				is(t, "a piece", s.send(id, at, file[at:at+500]), 204, int64(at+500))
			}
			s.whole(id, file)
		})
	}
	all.Wait()
}

// TestOneUploadTakesOnePieceAtATime: of many that say the same offset one counts, also when they
// come to several processes.
func TestOneUploadTakesOnePieceAtATime(t *testing.T) {
	s := serve(t, upload.Options{})
	other := &server{t: t, dir: s.dir, opts: s.opts}
	other.start()
	defer other.Close()
	id := s.begin(8_000_000)
	var all sync.WaitGroup
	var mu sync.Mutex
	counted := 0
	for i := range 8 {
		all.Go(func() {
			a := []*server{s, other}[i%2].send(id, 0, bytes.Repeat([]byte{byte('a' + i)}, 4_000_000))
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case http.StatusNoContent:
				counted++
			case http.StatusConflict, http.StatusLocked:
			default:
				t.Errorf("got %d: %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if counted != 1 || s.do("HEAD", id, nil).offset() != 4_000_000 {
		t.Errorf("%d pieces counted, and it is at %d", counted, s.do("HEAD", id, nil).offset())
	}
}

func TestAPieceThatHasChangedOnItsWayCountsNothing(t *testing.T) {
	s := serve(t, upload.Options{})
	file := png(1000)
	id := s.begin(1000)
	one, two := sha1.Sum(file[:500]), sha256.Sum256(file[500:])
	sum := func(algorithm string, sum []byte) string {
		return algorithm + " " + base64.StdEncoding.EncodeToString(sum)
	}
	is(t, "another piece", s.send(id, 0, file[1:501], "Upload-Checksum", sum("sha1", one[:])), 460, 0)
	is(t, "the piece", s.send(id, 0, file[:500], "Upload-Checksum", sum("sha1", one[:])), 204, 500)
	is(t, "half of one", s.send(id, 500, file[500:800], "Upload-Checksum", sum("sha256", two[:])), 460, 500)
	is(t, "one of an unknown sum", s.send(id, 500, file[500:], "Upload-Checksum", "md4 AAAA"), 400, -1)
	is(t, "one of no sum", s.send(id, 500, file[500:], "Upload-Checksum", "sha1 *"), 400, -1)
	is(t, "the other", s.send(id, 500, file[500:], "Upload-Checksum", sum("sha256", two[:])), 204, 1000)
	s.whole(id, file)
}

func TestWhatIsTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	s := serve(t, upload.Options{MaxSize: 5 << 20, MaxTotal: 9 << 20, MaxFiles: 3})
	for _, length := range []string{"", "-1", "x", "5242881", "99999999999999999999"} {
		a := s.do("POST", "", nil, "Upload-Length", length)
		if a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge || a.body == "" {
			t.Errorf("%q: got %d %q", length, a.status, a.body)
		}
	}
	if a := s.do("POST", "", nil, "Upload-Length", "5242881"); !strings.Contains(a.body, "5 MB at most") {
		t.Errorf("got %q", a.body)
	}
	s.begin(5 << 20)
	if a := s.do("POST", "", nil, "Upload-Length", "5242880"); a.status != http.StatusInsufficientStorage {
		t.Errorf("got %d for one that would be too much with the others", a.status)
	}
	s.restart() // what others have begun counts
	if a := s.do("POST", "", nil, "Upload-Length", "5242880"); a.status != http.StatusInsufficientStorage {
		t.Errorf("got %d after a restart", a.status)
	}
	s.begin(1)
	s.begin(1)
	if a := s.do("POST", "", nil, "Upload-Length", "1"); a.status != http.StatusInsufficientStorage {
		t.Errorf("got %d for one file too many", a.status)
	}
}

func TestAFileOfAnotherTypeEndsAsSoonAsItShows(t *testing.T) {
	s := serve(t, upload.Options{Types: []string{"image/png", "image/jpeg"}})
	for name, file := range map[string][]byte{
		"a page":                           []byte("<html><script>alert(1)</script>" + strings.Repeat(" ", 2000)),
		"a drawing that may have scripts":  []byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>` + strings.Repeat(" ", 2000)),
		"a program":                        []byte("\x7fELF" + strings.Repeat("\x00", 2000)),
		"a picture of a kind that may not": []byte("GIF89a" + strings.Repeat("\x00", 2000)),
		"a small one":                      []byte("text"),
	} {
		id := s.begin(len(file), "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("me.png"))+",filetype "+base64.StdEncoding.EncodeToString([]byte("image/png")))
		if len(file) > 512 {
			is(t, name+", the begin", s.send(id, 0, file[:511]), 204, 511)
			file = file[511:]
		}
		at := 0
		if len(file) > 4 {
			at = 511
		}
		if a := s.send(id, at, file); a.status != http.StatusUnsupportedMediaType || !strings.Contains(a.body, "kind of file") {
			t.Errorf("%s: got %d %q", name, a.status, a.body)
		}
		if a := s.do("HEAD", id, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: it is still there: %d", name, a.status)
		}
	}
	id := s.begin(0)
	if a := s.send(id, 0, nil); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("got %d for an empty picture", a.status)
	}
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("got %v, %v, want nothing left", left, err)
	}
}

// TestNamesAreNoPaths: what is said of a file is text, and never a place on this machine.
func TestNamesAreNoPaths(t *testing.T) {
	s := serve(t, upload.Options{})
	for name, want := range map[string]string{
		"../../etc/passwd": "passwd", `..\..\boot.ini`: "boot.ini", "/etc/passwd": "passwd", "..": "file", ".": "file", "": "file", "/": "file",
		"a\x00b\r\nSet-Cookie: x": "abSet-Cookie x", "\u202egnp.exe": "gnp.exe", `"><script>`: "script", ".hidden": "hidden",
		strings.Repeat("ж", 200): strings.Repeat("ж", 60), "\xff\xfe": "file", "con:x": "conx",
	} {
		id := s.begin(1, "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte(name)))
		is(t, name, s.send(id, 0, []byte("x")), 204, 1)
		shown := s.do("GET", id, nil).header
		if got := shown.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename") || want != "file" && want[0] < 128 && !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
		if shown.Get("Set-Cookie") != "" {
			t.Errorf("%q: a header of its own", name)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if id, _, _ := strings.Cut(e.Name(), "."); !upload.ValidID(id) {
			t.Errorf("the folder has %q", e.Name())
		}
	}
	for _, metadata := range []string{"filename *", "filename " + strings.Repeat("A", 8000)} {
		if a := s.do("POST", "", nil, "Upload-Length", "1", "Upload-Metadata", metadata); a.status < 400 || a.status >= 500 || a.body == "" {
			t.Errorf("got %d %q", a.status, a.body)
		}
	}
}

func TestAnAddressThatIsNoneIsNotFound(t *testing.T) {
	s := serve(t, upload.Options{})
	secret := filepath.Join(filepath.Dir(s.dir), "secret.file")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"..%2fsecret", "%2e%2e/secret.file", "x", strings.Repeat("a", 26), strings.Repeat("A", 26), strings.Repeat("a", 26) + ".json", "aaaaaaaaaaaaaaaaaaaaaaaa%00a",
	} {
		for _, method := range []string{"GET", "HEAD", "PATCH", "DELETE"} {
			a := s.do(method, path, nil, "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
			if a.status != http.StatusNotFound {
				t.Errorf("%s %s: got %d", method, path, a.status)
			}
		}
	}
}

func TestRequestsThatAreNotOfTheProtocolAreRefused(t *testing.T) {
	s := serve(t, upload.Options{})
	id := s.begin(10)
	if a := s.do("OPTIONS", "", nil); a.status != 204 || a.header.Get("Tus-Version") != "1.0.0" || !strings.Contains(a.header.Get("Tus-Extension"), "creation") {
		t.Errorf("got %d %v", a.status, a.header)
	}
	for _, method := range []string{"POST", "HEAD", "PATCH", "DELETE"} {
		if a := s.do(method, id, nil, "Tus-Resumable", "0.2.2"); a.status != http.StatusPreconditionFailed || a.header.Get("Tus-Version") != "1.0.0" {
			t.Errorf("%s of another version: got %d", method, a.status)
		}
	}
	is(t, "a piece of another type", s.send(id, 0, []byte("x"), "Content-Type", "text/plain"), 415, -1)
	is(t, "a piece from nowhere", s.send(id, 0, []byte("x"), "Upload-Offset", "x"), 400, -1)
	is(t, "a piece before the begin", s.send(id, -1, []byte("x")), 400, -1)
	if a := s.do("PUT", id, nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("got %d", a.status)
	}
	if a := s.do("POST", id, strings.NewReader("0123456789"), "X-HTTP-Method-Override", "PATCH", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); a.offset() != 10 {
		t.Errorf("got %d by another method", a.status)
	}
}

// TestWhatIsCompleteStays: everybody who is shown a file knows its id.
func TestWhatIsCompleteStays(t *testing.T) {
	s := serve(t, upload.Options{})
	id := s.begin(1)
	s.send(id, 0, []byte("x"))
	if a := s.do("DELETE", id, nil); a.status != http.StatusForbidden || a.body == "" {
		t.Errorf("got %d %q", a.status, a.body)
	}
	if a := s.do("POST", id, nil, "X-HTTP-Method-Override", "DELETE"); a.status != http.StatusForbidden {
		t.Errorf("got %d by another method", a.status)
	}
	s.whole(id, []byte("x"))
}

// TestWhatRestsGivesWay: who begins very many files and sends nothing keeps nobody out.
func TestWhatRestsGivesWay(t *testing.T) {
	for name, o := range map[string]upload.Options{"bytes": {MaxSize: 10, MaxTotal: 100}, "files": {MaxFiles: 10}} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			o.Clock = func() time.Time { return now }
			s := serve(t, o)
			complete := s.begin(10)
			s.send(complete, 0, []byte("0123456789"))
			var all []string
			for range 9 {
				all = append(all, s.begin(10))
			}
			if a := s.do("POST", "", nil, "Upload-Length", "10"); a.status != http.StatusInsufficientStorage {
				t.Fatalf("got %d where there is no room, and all have just begun", a.status)
			}
			now = now.Add(2 * time.Minute)
			s.begin(10)
			s.whole(complete, []byte("0123456789"))
			left := 0
			for _, id := range all {
				if a := s.do("HEAD", id, nil); a.status == 200 {
					left++
				}
			}
			if left != 8 {
				t.Errorf("%d are left of 9, want one to have given way", left)
			}
		})
	}
}

func TestAnUploadThatIsEndedIsGone(t *testing.T) {
	s := serve(t, upload.Options{})
	id := s.begin(1)
	if a := s.do("DELETE", id, nil); a.status != 204 {
		t.Errorf("got %d", a.status)
	}
	for _, method := range []string{"HEAD", "GET", "DELETE"} {
		if a := s.do(method, id, nil); a.status != 404 {
			t.Errorf("%s: got %d", method, a.status)
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v", left, err)
	}
}

func TestWhatRestsForTooLongExpires(t *testing.T) {
	now := time.Now()
	s := serve(t, upload.Options{Expire: time.Hour, Keep: 48 * time.Hour, Clock: func() time.Time { return now }})
	begun, complete := s.begin(10), s.begin(1)
	s.send(begun, 0, []byte("x"))
	s.send(complete, 0, []byte("x"))
	now = now.Add(50 * time.Minute)
	s.begin(1)
	is(t, "what rests for a while", s.do("HEAD", begun, nil), 200, 1)
	now = now.Add(20 * time.Minute)
	s.begin(1)
	if a := s.do("HEAD", begun, nil); a.status != 404 {
		t.Errorf("got %d for what has expired", a.status)
	}
	now = now.Add(30 * time.Hour)
	s.whole(complete, []byte("x")) // asked for: the time begins again
	now = now.Add(30 * time.Hour)
	s.begin(1)
	s.whole(complete, []byte("x"))
	now = now.Add(49 * time.Hour)
	id := s.begin(1)
	if a := s.do("GET", complete, nil); a.status != 404 {
		t.Errorf("got %d for what nobody has asked for", a.status)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("got %v, %v, want what %s has", left, err, id)
	}
}

func TestWhoHasBegunTooManyWaits(t *testing.T) {
	s := serve(t, upload.Options{Admit: func(*http.Request) (time.Duration, bool) { return 90 * time.Second, false }})
	if a := s.do("POST", "", nil, "Upload-Length", "1"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "90" {
		t.Errorf("got %d %v", a.status, a.header)
	}
}

// A memory is a sink.
type memory struct {
	content bytes.Buffer
	fails   error // of Write
	closes  error
	closed  int
}

func (m *memory) Write(p []byte) (int, error) {
	if m.fails != nil {
		return 0, m.fails
	}
	return m.content.Write(p)
}

func (m *memory) Close() error {
	m.closed++
	return m.closes
}

// TestAFileGoesToTheSinkWhenItTakesIt: after errors of each kind it is still here, and goes when
// the client asks again; then it is with the sink, and not here.
func TestAFileGoesToTheSinkWhenItTakesIt(t *testing.T) {
	file := png(1000)
	for name, failing := range map[string]func(m *memory) error{
		"open":  func(*memory) error { return errors.New("away") },
		"write": func(m *memory) error { m.fails = errors.New("full"); return nil },
		"close": func(m *memory) error { m.closes = errors.New("away"); return nil },
		"panic": func(*memory) error { panic("bug") },
	} {
		t.Run(name, func(t *testing.T) {
			fail, got := true, new(memory)
			var seen upload.File
			s := serve(t, upload.Options{Sink: func(_ context.Context, f upload.File) (io.WriteCloser, error) {
				seen, got = f, new(memory)
				if fail {
					if err := failing(got); err != nil {
						return nil, err
					}
				}
				return got, nil
			}})
			id := s.begin(1000, "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("../me.png")))
			is(t, "a piece", s.send(id, 0, file[:600]), 204, 600)
			is(t, "the last", s.send(id, 600, file[600:]), 503, 1000)
			if a := s.do("HEAD", id, nil); a.status != 503 {
				t.Errorf("a client that asks is told %d: it would take it for done", a.status)
			}
			s.restart()
			fail = false
			is(t, "a look", s.do("HEAD", id, nil), 200, 1000)
			if !bytes.Equal(got.content.Bytes(), file) || got.closed != 1 || seen != (upload.File{ID: id, Size: 1000, Name: "me.png", Type: "image/png"}) {
				t.Errorf("the sink got %d bytes of %+v, closed %d times", got.content.Len(), seen, got.closed)
			}
			before := got
			is(t, "another look", s.do("HEAD", id, nil), 200, 1000)
			is(t, "the last again", s.send(id, 600, file[600:]), 409, 1000)
			if got != before {
				t.Error("the sink got it twice")
			}
			if a := s.do("GET", id, nil); a.status != 404 {
				t.Errorf("got %d for what is with the sink", a.status)
			}
			if parts, _ := filepath.Glob(filepath.Join(s.dir, "*.part")); len(parts) > 0 {
				t.Errorf("got %v", parts)
			}
		})
	}
}

func TestAFolderThatCanNotBeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := upload.New(filepath.Join(file, "uploads"), nil); err == nil || !strings.HasPrefix(err.Error(), "upload: ") {
		t.Errorf("got %v", err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("filename bWUucG5n,filetype aW1hZ2UvcG5n")
	f.Add("filename Li4vLi4=")
	h, err := upload.New(f.TempDir(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, metadata string) {
		req := httptest.NewRequest("POST", "/", nil)
		req.Header.Set("Tus-Resumable", "1.0.0")
		req.Header.Set("Upload-Length", "1")
		req.Header.Set("Upload-Metadata", metadata)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code >= 500 && w.Code != http.StatusInsufficientStorage {
			t.Error(fmt.Sprint(w.Code), w.Body)
		}
	})
}
