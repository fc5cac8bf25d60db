package site

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"lockstep/static"
)

// searchAt is where the search is below the book, for browsers without JavaScript.
const searchAt = "search/"

// maxAsked is how long a question may be, in bytes, and maxFound how many answers there are.
const (
	maxAsked = 200
	maxFound = 30
)

// An entry is a section as it is found.
type entry struct {
	To      string `json:"to"`      // its address, below that of the book
	Page    string `json:"page"`    // title
	Heading string `json:"heading"` // "": that of the page
	Words   string `json:"words"`

	lower [3]string // page, heading and words, as they are compared
}

// indexOf returns an entry for each section of a book.
func indexOf(b *book) (all []entry) {
	for _, p := range b.pages {
		for i, s := range p.sections {
			e := entry{To: p.at, Page: p.head, Words: s.Words}
			if i > 0 {
				e.To, e.Heading = p.at+"#"+s.ID, s.Text
			}
			e.lower = [3]string{strings.ToLower(e.Page), strings.ToLower(e.Heading), strings.ToLower(e.Words)}
			all = append(all, e)
		}
	}
	return all
}

// find returns the entries that have all words of a question, the best first. search.js does the
// same.
func find(index []entry, asked string) (found []entry) {
	words := strings.Fields(strings.ToLower(asked))
	if len(words) == 0 {
		return nil
	}
	type scored struct {
		entry
		score int
	}
	var all []scored
	for _, e := range index {
		if n := e.score(words); n > 0 {
			all = append(all, scored{e, n})
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	for _, e := range all[:min(len(all), maxFound)] {
		found = append(found, e.entry)
	}
	return found
}

// worth of a word in the title of a page, in a heading, in the text below it.
var worth = [3]int{8, 10, 1}

// score is how well an entry fits; 0: it lacks a word. Where words begin they count twice.
func (e entry) score(words []string) (score int) {
	for _, word := range words {
		n := 0
		for i, text := range e.lower {
			if i == 0 && e.Heading != "" {
				n += sign(text, word) // a page that is about it comes before its sections
			} else {
				n += worth[i] * sign(text, word)
			}
		}
		if n == 0 {
			return 0
		}
		score += n
	}
	return score
}

// sign is 2 where a word of a text begins with another, 1 where it has it inside, else 0.
func sign(text, word string) int {
	n := 0
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return n
		}
		at := from + i
		before := []rune(text[max(0, at-4):at])
		if len(before) == 0 || !letter(before[len(before)-1]) {
			return 2
		}
		n, from = 1, at+len(word)
	}
}

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

// An excerpt is a piece of text around what was found.
type excerpt struct{ before, found, after string }

// around is how much of a text an excerpt has on each side, in bytes.
const around = 70

// excerptOf returns the place of the first word of a question in a text, or its beginning.
func (e entry) excerptOf(asked string) excerpt {
	for word := range strings.FieldsSeq(strings.ToLower(asked)) {
		i := strings.Index(e.lower[2], word)
		if i < 0 || len(e.lower[2]) != len(e.Words) {
			continue
		}
		from, to := max(0, i-around), min(len(e.Words), i+len(word)+around)
		x := excerpt{e.Words[from:i], e.Words[i : i+len(word)], e.Words[i+len(word) : to]}
		if from > 0 {
			_, x.before, _ = strings.Cut(x.before, " ")
			x.before = "… " + x.before
		}
		if to < len(e.Words) {
			x.after = x.after[:max(0, strings.LastIndexByte(x.after, ' '))] + " …"
		}
		return x
	}
	return excerpt{before: strings.ToValidUTF8(e.Words[:min(len(e.Words), 2*around)], "")}
}

// search answers with a page of what was found.
func (s *Site) search(w http.ResponseWriter, r *http.Request) {
	asked := strings.ToValidUTF8(r.URL.Query().Get("q"), "")
	asked = strings.TrimSpace(strings.ToValidUTF8(asked[:min(len(asked), maxAsked)], ""))
	v := s.view(searchAt, "Search")
	v.asked = asked
	html, err := s.html(v, results(v, find(s.index, asked)))
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", static.ContentType("html"))
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(html) // the client may be gone
}
