package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var (
	// prose is a line of a paragraph or of an item; the groups are its
	// indentation, the mark of an item or a quotation, and the text.
	prose = regexp.MustCompile(`^( *)([-*+] |\d+[.)] |> )?(\S.*)$`)
	// other is what is not prose: tables, HTML, headings, rules, code.
	other = regexp.MustCompile("^(?: *(?:\\||<|#|```|---)|    \\s)")
	// item begins one.
	item = regexp.MustCompile(`^ *(?:[-*+] |\d+[.)] )`)
	// marker has a meaning in Markdown at the beginning of a line.
	marker = regexp.MustCompile(`^(?:[-+*=]$|[>|]|#+$|\d+[.)]$)`)
	span   = regexp.MustCompile("`[^`]*`|\\[[^]`]*\\]\\([^)]*\\)")
)

// wrap returns a document in which every paragraph and item that has a line
// wider than the columns is filled anew. Everything else stays as it is, and so
// does what a document says of itself to programs, before its text.
func wrap(text string) string {
	lines := strings.Split(text, "\n")
	var out []string
	if lines[0] == "---" {
		n := 2 + slices.Index(lines[1:], "---")
		out, lines = lines[:n:n], lines[n:]
	}
	code := false
	for len(lines) > 0 {
		line := lines[0]
		code = code != fence(line)
		if code || other.MatchString(line) || strings.TrimSpace(line) == "" {
			out, lines = append(out, line), lines[1:]
			continue
		}
		n := paragraph(lines)
		out, lines = append(out, fill(lines[:n])...), lines[n:]
	}
	return strings.Join(out, "\n")
}

// paragraph returns how many lines belong to the one that the first begins.
func paragraph(lines []string) int {
	for n, line := range lines[1:] {
		if strings.TrimSpace(line) == "" || other.MatchString(line) || item.MatchString(line) || strings.HasSuffix(lines[n], "  ") {
			return n + 1
		}
	}
	return len(lines)
}

func fill(lines []string) []string {
	fits := true
	for _, line := range lines {
		fits = fits && utf8.RuneCountInString(line) <= columns
	}
	m := prose.FindStringSubmatch(lines[0])
	if fits || m == nil {
		return lines
	}
	text := m[3]
	for _, line := range lines[1:] {
		text += " " + strings.TrimPrefix(strings.TrimSpace(line), "> ")
	}
	next := m[1] + strings.Repeat(" ", len(m[2]))
	if m[2] == "> " {
		next = m[1] + m[2]
	}
	return put(words(text), m[1]+m[2], next)
}

// words splits a text where a line may end: not inside code or the text of a
// link, and not where the next line would begin with a mark of Markdown.
func words(text string) (words []string) {
	kept := span.ReplaceAllStringFunc(text, func(s string) string { return strings.ReplaceAll(s, " ", "\x00") })
	for word := range strings.FieldsSeq(kept) {
		word = strings.ReplaceAll(word, "\x00", " ")
		if len(words) > 0 && marker.MatchString(word) {
			words[len(words)-1] += " " + word
		} else {
			words = append(words, word)
		}
	}
	return words
}

// put lays words out in lines, the first of which begins differently.
func put(words []string, first, next string) (lines []string) {
	line := first + words[0]
	for _, word := range words[1:] {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines, line = append(lines, line), next+word
		} else {
			line += " " + word
		}
	}
	return append(lines, line)
}

func TestWrapFillsParagraphsAndItemsOnly(t *testing.T) {
	long := strings.Repeat("word ", 30)
	wide := strings.TrimSpace(strings.Repeat("word ", 20))
	tests := []struct{ name, text, want string }{
		{"a paragraph", long + "\nend\n", wide + "\n" + strings.TrimSpace(strings.Repeat("word ", 10)) + " end\n"},
		{"an item", "- " + long, "- " + wide[5:] + "\n  " + strings.TrimSpace(strings.Repeat("word ", 11))},
		{"a table", "| " + long + " |\n", "| " + long + " |\n"},
		{"a heading", "# " + long + "\n", "# " + long + "\n"},
		{"code", "```\n" + long + "\n```\n", "```\n" + long + "\n```\n"},
		{"what is for programs", "---\na: " + long + "\nb: c\n---\n\nd\n", "---\na: " + long + "\nb: c\n---\n\nd\n"},
		{"what fits", "a\nb\n", "a\nb\n"},
		{"a mark stays behind a word", wide + " - word", wide[5:] + "\nword - word"},
		{"code stays in one line", wide[5:] + " `a b c`", wide[5:] + "\n`a b c`"},
	}
	for _, test := range tests {
		if got := wrap(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
