package page

import (
	"strings"
	"unicode/utf8"
)

// Wrap returns a page of Markdown whose prose is at most 100 columns wide.
// Code, tables, headings and images stay as they are.
func Wrap(text string) string {
	lines := strings.Split(text, "\n")
	code := false
	for i, line := range lines {
		code = code != strings.HasPrefix(line, "```")
		if !code && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "!") {
			lines[i] = fold(line)
		}
	}
	return strings.Join(lines, "\n")
}

// fold breaks a paragraph or an item of a list into lines.
func fold(paragraph string) string {
	next := "\n"
	if strings.HasPrefix(paragraph, "- ") {
		next += "  "
	}
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(paragraph, " ") {
		width := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+width > 100:
			b.WriteString(next)
			column = len(next) - 1
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
