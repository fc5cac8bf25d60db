package site_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"lockstep/docs"
	"lockstep/docs/site"
)

// around is where a test has the book.
const around = "/some/where/docs"

func newSite(t *testing.T) *site.Site {
	t.Helper()
	s, err := site.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *site.Site, at string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, at, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	http.StripPrefix(around, s).ServeHTTP(w, r)
	return w
}

// load returns the elements of a page.
func load(t *testing.T, s *site.Site, at string) (all []*html.Node) {
	t.Helper()
	w := get(t, s, at)
	root, err := html.Parse(w.Body)
	if w.Code != http.StatusOK || err != nil {
		t.Fatalf("%s: got %d, %v", at, w.Code, err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func TestEveryLinkAndAnchorLeadsSomewhere(t *testing.T) {
	s := newSite(t)
	ids := map[string][]string{} // by the path of a page
	pages := append(s.Paths(), "/search/")
	for _, p := range pages {
		for _, n := range load(t, s, around+p) {
			if id := attribute(n, "id"); id != "" {
				if slices.Contains(ids[around+p], id) {
					t.Errorf("%s has two of the id %s", p, id)
				}
				ids[around+p] = append(ids[around+p], id)
			}
		}
	}
	links := 0
	for _, p := range append(pages, "/search/?q=replica") {
		at, _ := url.Parse(around + p)
		for _, n := range load(t, s, around+p) {
			for _, key := range []string{"href", "src", "srcset", "action"} {
				to, err := url.Parse(attribute(n, key))
				if err != nil {
					t.Errorf("%s: %v", p, err)
				}
				if attribute(n, key) == "" || to.Host != "" || to.Scheme == "data" {
					continue
				}
				links++
				to = at.ResolveReference(to)
				w := get(t, s, to.Path)
				switch {
				case w.Code != http.StatusOK:
					t.Errorf("%s: the link to %s leads nowhere: %d", p, to, w.Code)
				case to.Fragment != "" && !slices.Contains(ids[to.Path], to.Fragment):
					t.Errorf("%s: there is nothing at %s", p, to)
				}
			}
		}
	}
	if links < 4000 {
		t.Errorf("got %d links only", links)
	}
}

var toDocument = regexp.MustCompile(`\]\(([^):#]+\.md)`)

// TestEveryDocumentThatIsLinkedIsAPage: a link to another file is text alone.
func TestEveryDocumentThatIsLinkedIsAPage(t *testing.T) {
	all := docs.Paths()
	for _, document := range all {
		text, err := docs.Read(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range toDocument.FindAllSubmatch(text, -1) {
			to := path.Join(path.Dir(document), string(m[1]))
			if strings.HasSuffix(document, ".md") && !slices.Contains(all, to) {
				t.Errorf("%s: there is no page of %s", document, to)
			}
		}
	}
}

func TestPagesAreInTheOrderOfTheIndex(t *testing.T) {
	s := newSite(t)
	var next []string
	for at := around + "/"; ; {
		i := slices.IndexFunc(load(t, s, at), func(n *html.Node) bool { return attribute(n, "rel") == "next" })
		if i < 0 {
			break
		}
		here, _ := url.Parse(at)
		to, err := here.Parse(attribute(load(t, s, at)[i], "href"))
		if err != nil {
			t.Fatal(err)
		}
		at = to.Path
		next = append(next, strings.TrimPrefix(at, around))
	}
	index, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(next) < 15 || next[0] != "/tutorial/" {
		t.Fatalf("got %q", next)
	}
	from := 0
	for _, p := range next {
		name := strings.TrimPrefix(strings.Trim(p, "/"), "project/")
		at := strings.Index(strings.ToLower(string(index))[from:], name)
		if at < 0 {
			t.Errorf("%s is not in the index behind the page before", p)
		}
		from += max(at, 0)
	}
}

func TestThePageThatIsShownIsMarked(t *testing.T) {
	marked := 0
	for _, n := range load(t, newSite(t), around+"/backends/") {
		if attribute(n, "aria-current") == "page" {
			marked++
			if got := attribute(n, "href"); got != "../backends/" {
				t.Errorf("got %s", got)
			}
		}
	}
	if marked != 2 { // where there is room, and where there is not
		t.Errorf("got %d", marked)
	}
}

// TestNothingIsInline: the policy of a page that has the site forbids styles and scripts that are.
// Columns of numbers are at the end all the same.
func TestNothingIsInline(t *testing.T) {
	s := newSite(t)
	numbers := 0
	for _, p := range append(s.Paths(), "/search/?q=replica") {
		for _, n := range load(t, s, around+p) {
			if n.Data == "style" || n.Data == "script" && attribute(n, "src") == "" {
				t.Errorf("%s has a <%s> in it", p, n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s has a <%s %s=%q>", p, n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "td" && attribute(n, "class") == "ls-number" {
				numbers++
			}
		}
	}
	if numbers == 0 {
		t.Error("no cell is one of numbers")
	}
}

func TestAPageIsSentOnce(t *testing.T) {
	s := newSite(t)
	first := get(t, s, around+"/tutorial/", "Accept-Encoding", "br")
	if first.Header().Get("Content-Encoding") != "br" || first.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("got %v", first.Header())
	}
	etag := first.Header().Get("ETag")
	if again := get(t, s, around+"/tutorial/", "Accept-Encoding", "br", "If-None-Match", etag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("got %d and %d bytes", again.Code, again.Body.Len())
	}
	if other := get(t, s, around+"/tutorial/", "Accept-Encoding", "gzip", "If-None-Match", etag); other.Code != http.StatusOK {
		t.Errorf("got %d for another encoding", other.Code)
	}
}

func TestAddressesWithoutTheSlashLeadOn(t *testing.T) {
	s := newSite(t)
	for at, want := range map[string]string{
		"/tutorial": "tutorial/", "/adr": "adr/", "/adr/0009-dependencies": "0009-dependencies/", "/search?q=a+b": "search/?q=a+b",
	} {
		w := get(t, s, around+at)
		if got := w.Header().Get("Location"); w.Code != http.StatusMovedPermanently || got != want {
			t.Errorf("%s: got %d %s, want %s", at, w.Code, got, want)
		}
	}
	for _, at := range []string{"/nothing", "/nothing/", "/files/book.css", "/files/", "/tutorial/more"} {
		if w := get(t, s, around+at); w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d", at, w.Code)
		}
	}
}

// style returns the address of the style sheet.
func styleSheet(t *testing.T, s *site.Site) string {
	t.Helper()
	for _, n := range load(t, s, around+"/") {
		if attribute(n, "rel") == "stylesheet" {
			return around + "/" + strings.TrimPrefix(attribute(n, "href"), "./")
		}
	}
	t.Fatal("the page has no style sheet")
	return ""
}

func TestFilesAreKeptForEverButThoseOfAnotherVersion(t *testing.T) {
	s := newSite(t)
	at := styleSheet(t, s)
	w := get(t, s, at)
	if got := w.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("got %q", got)
	}
	other := get(t, s, around+"/files/book.0123456789.css")
	if got := other.Header().Get("Cache-Control"); got != "no-store" || !bytes.Equal(other.Body.Bytes(), w.Body.Bytes()) {
		t.Errorf("another version: got %q and %d bytes", got, other.Body.Len())
	}
}

func TestSearchingWithoutJavaScript(t *testing.T) {
	s := newSite(t)
	for asked, want := range map[string]string{
		"exactly once":           "../exactly-once/",
		"kubernetes":             "../operations/#kubernetes",
		"nothinglikeit":          "",
		"":                       "",
		"<script>":               "",
		strings.Repeat("é", 300): "",
	} {
		got := ""
		for _, n := range load(t, s, around+"/search/?q="+url.QueryEscape(asked)) {
			if n.Data == "a" && n.Parent.Data == "li" && attribute(n.Parent.Parent, "class") == "book-results" {
				got = attribute(n, "href")
				break
			}
		}
		if want != "" && got != want || want == "" && got != "" && !strings.Contains(asked, "<") {
			t.Errorf("%.20q: got %q first, want %q", asked, got, want)
		}
	}
}

// codeIn matches the blocks of code of a document.
var codeIn = regexp.MustCompile("(?ms)^```.*?\n(.*?)^```$")

// TestCodeIsAsItWasWritten, whatever colours its words have.
func TestCodeIsAsItWasWritten(t *testing.T) {
	s := newSite(t)
	for at, document := range map[string]string{
		"/tutorial/": "docs/tutorial.md", "/kinds/": "docs/kinds.md", "/howto-form/": "docs/howto-form.md", "/project/components/": "components/README.md",
		"/operations/": "docs/operations.md", "/protocol/": "docs/protocol.md", "/loadgen/": "docs/loadgen.md",
	} {
		text, err := docs.Read(document)
		if err != nil {
			t.Fatal(err)
		}
		blocks := codeIn.FindAllSubmatch(text, -1)
		for _, n := range load(t, s, around+at) {
			if n.Data != "code" || n.Parent.Data != "pre" {
				continue
			}
			got := ""
			for part := range n.Descendants() {
				if part.Type == html.TextNode {
					got += part.Data
				}
			}
			if want := string(blocks[0][1]); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", document, got, want)
			}
			blocks = blocks[1:]
		}
		if len(blocks) > 0 {
			t.Errorf("%s: %d blocks are not shown", document, len(blocks))
		}
	}
}

// FuzzSearching: whatever somebody looks for, the page is whole.
func FuzzSearching(f *testing.F) {
	for _, asked := range []string{"replica", "exactly once", "…", "\xff", "<b>", "ſ", "İ", "a\x00b", strings.Repeat("é", 300)} {
		f.Add(asked)
	}
	s, err := site.New(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		w := get(t, s, around+"/search/?q="+url.QueryEscape(asked))
		body := w.Body.String()
		if w.Code != http.StatusOK || !utf8.ValidString(body) || !strings.HasSuffix(body, "</html>") {
			t.Errorf("got %d, and %d bytes that end in %q", w.Code, len(body), body[max(0, len(body)-40):])
		}
	})
}

func TestTheIndexHasEachSection(t *testing.T) {
	s := newSite(t)
	at := ""
	for _, n := range load(t, s, around+"/tutorial/") {
		if _, ok := attribute(n, "data-search"), attribute(n, "type") == "application/json"; ok {
			at = attribute(n, "href")
		}
	}
	var all []struct{ To, Page, Heading, Words string }
	if err := json.Unmarshal(get(t, s, path.Join(around, "tutorial", at)).Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	found := slices.ContainsFunc(all, func(e struct{ To, Page, Heading, Words string }) bool {
		return e.To == "tutorial/#3-a-test" && e.Heading == "3. A test" && strings.Contains(e.Words, "Tests need no browser")
	})
	if !found || len(all) < 250 {
		t.Errorf("got %d sections, and that of the tutorial: %v", len(all), found)
	}
}
