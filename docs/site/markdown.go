package site

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"lockstep/components"
)

// A heading is one of a document.
type heading struct {
	Level    int
	ID, Text string
}

// A section is a heading with the text below it, without its marks.
type section struct {
	heading
	Words string
}

// A document is a Markdown file as a page shows it.
type document struct {
	html     string
	sections []section // in their order; the first is of the page's title
}

// A linker says where a link in a document leads, from the page of it, and what that is called: its
// title, or its path in the repository where there is no page of it. Then ok is false.
type linker func(to string) (href, name string, ok bool)

// render makes HTML of a document. Its text is trusted: it is part of the program.
func render(source []byte, link linker) (document, error) {
	source = withoutFrontMatter(source)
	table := extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)) // see prepareTables
	md := goldmark.New(
		goldmark.WithExtensions(table, extension.Strikethrough),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()),
		goldmark.WithRendererOptions(html.WithUnsafe(), renderer.WithNodeRenderers(util.Prioritized(nodes{link}, 1))),
	)
	root := md.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(slugs{}))))
	d := document{sections: sections(root, source)}
	prepareTables(root, source)
	var b bytes.Buffer
	if err := md.Renderer().Render(&b, source, root); err != nil {
		return d, fmt.Errorf("site: render: %w", err)
	}
	// A column without a name has no header: those who listen would be told of an empty one.
	d.html = strings.ReplaceAll(b.String(), "<th></th>", "<td></td>")
	return d, nil
}

// withoutFrontMatter leaves out what a document says of itself to programs.
func withoutFrontMatter(source []byte) []byte {
	if rest, ok := bytes.CutPrefix(source, []byte("---\n")); ok {
		if _, rest, ok := bytes.Cut(rest, []byte("\n---\n")); ok {
			return rest
		}
	}
	return source
}

// slugs are the ids of headings, as GitHub makes them.
type slugs map[string]int

var notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// Generate implements parser.IDs.
func (s slugs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(string(value)), ""), " ", "-")
	n := s[id]
	s[id]++
	if n > 0 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return []byte(id)
}

// Put implements parser.IDs.
func (s slugs) Put(value []byte) { s[string(value)]++ }

// sections returns the sections of a document. What stands before the first heading is of none.
func sections(root ast.Node, source []byte) (all []section) {
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			id, _ := h.AttributeString("id")
			slug, _ := id.([]byte)
			all = append(all, section{heading: heading{Level: h.Level, ID: string(slug), Text: strings.TrimSpace(words(h, source))}})
		} else if len(all) > 0 {
			all[len(all)-1].Words += words(n, source)
		}
	}
	for i := range all {
		all[i].Words = strings.Join(strings.Fields(all[i].Words), " ")
	}
	return all
}

// words returns the text of a node, without its marks. A block ends with a space.
func words(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no step of it fails
		switch t := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(t.Segment.Value(source))
				if t.SoftLineBreak() || t.HardLineBreak() {
					b.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				b.Write(t.Value)
			}
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			if entering {
				b.Write(n.Lines().Value(source))
			}
		case *ast.HTMLBlock, *ast.RawHTML:
			return ast.WalkSkipChildren, nil
		}
		if !entering && n.Type() == ast.TypeBlock {
			b.WriteByte(' ')
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// prepareTables gives each table the name of the section that it is in, and columns of numbers
// their class: the library would write a style into each cell, which the page's policy forbids.
func prepareTables(root ast.Node, source []byte) {
	name := ""
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			name = words(h, source)
		}
		_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no step of it fails
			if t, ok := n.(*east.Table); ok && entering {
				t.SetAttributeString("label", strings.TrimSpace(name))
			}
			if c, ok := n.(*east.TableCell); ok && entering && c.Alignment == east.AlignRight {
				c.SetAttributeString("class", "ls-number")
			}
			return ast.WalkContinue, nil
		})
	}
}

// nodes renders those that the library would not render as pages have them.
type nodes struct{ link linker }

// RegisterFuncs implements renderer.NodeRenderer.
func (r nodes) RegisterFuncs(reg renderer.NodeRendererFuncRegisterer) {
	reg.Register(ast.KindHeading, r.heading)
	reg.Register(ast.KindLink, r.anchor)
	reg.Register(ast.KindImage, r.image)
	reg.Register(ast.KindFencedCodeBlock, r.code)
	reg.Register(ast.KindHTMLBlock, r.raw)
	reg.Register(east.KindTable, r.table)
}

// heading has a link to itself behind it, where it has no page for itself.
func (r nodes) heading(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	h, _ := n.(*ast.Heading) // it is registered for these only
	id, _ := h.AttributeString("id")
	switch {
	case entering:
		_, _ = fmt.Fprintf(w, `<h%d id="%s" tabindex="-1">`, h.Level, id)
	case h.Level == 1:
		_, _ = w.WriteString("</h1>\n")
	default:
		_, _ = fmt.Fprintf(w, ` <a class="book-anchor" href="#%s" aria-label="Link to “%s”">#</a></h%d>`+"\n",
			id, util.EscapeHTML([]byte(strings.TrimSpace(words(h, source)))), h.Level)
	}
	return ast.WalkContinue, nil // what can't be written the writer says at its end
}

// anchor is a link, or its text alone with the path of what there is no page of. A document that is
// called by the name of its file is called by its title.
func (r nodes) anchor(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	l, _ := n.(*ast.Link)
	href, name, ok := r.link(string(l.Destination))
	text := strings.TrimSpace(words(l, source))
	name = string(util.EscapeHTML([]byte(name)))
	switch {
	case ok && entering:
		_, _ = fmt.Fprintf(w, `<a href="%s">`, util.EscapeHTML([]byte(href)))
		if strings.HasSuffix(text, ".md") && name != "" {
			_, _ = w.WriteString(name)
			return ast.WalkSkipChildren, nil
		}
	case ok:
		_, _ = w.WriteString("</a>")
	case strings.Contains(name, text):
		if entering {
			_, _ = w.WriteString("<code>" + name + "</code>")
		}
		return ast.WalkSkipChildren, nil
	case !entering:
		_, _ = fmt.Fprintf(w, " (<code>%s</code>)", name)
	}
	return ast.WalkContinue, nil
}

// image is a picture of the book. A drawing has words in it: on a phone it scrolls by itself, as a
// table does.
func (r nodes) image(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	i, _ := n.(*ast.Image)
	href, place, ok := r.link(string(i.Destination))
	if !ok {
		return ast.WalkStop, fmt.Errorf("there is no picture %s", place)
	}
	open, end := "", ""
	if strings.HasSuffix(href, ".svg") {
		open, end = `<span class="book-drawing" role="group" aria-label="Drawing" tabindex="0">`, "</span>"
	}
	_, err := fmt.Fprintf(w, `%s<img src="%s" alt="%s">%s`, open, util.EscapeHTML([]byte(href)), util.EscapeHTML([]byte(words(i, source))), end)
	return ast.WalkSkipChildren, err
}

var address = regexp.MustCompile(`\b(src|srcset|href)="([^"]*)"`)

// raw is HTML in a document: its addresses are those of the repository.
func (r nodes) raw(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block, _ := n.(*ast.HTMLBlock)
	text := string(block.Lines().Value(source))
	if block.HasClosure() {
		text += string(block.ClosureLine.Value(source))
	}
	_, err := w.WriteString(address.ReplaceAllStringFunc(text, func(a string) string {
		m := address.FindStringSubmatch(a)
		href, _, _ := r.link(m[2])
		return m[1] + `="` + string(util.EscapeHTML([]byte(href))) + `"`
	}))
	return ast.WalkContinue, err
}

// table scrolls by itself where it is wider than its place.
func (r nodes) table(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	label, _ := n.AttributeString("label")
	if entering {
		_, _ = fmt.Fprintf(w, "<div class=\"ls-table-box\" role=\"group\" aria-label=\"Table: %s\" tabindex=\"0\">\n<table>\n",
			util.EscapeHTML(fmt.Append(nil, label)))
	} else {
		_, _ = w.WriteString("</table>\n</div>\n")
	}
	return ast.WalkContinue, nil
}

// languages are the names of those that blocks of code are in.
var languages = map[string]string{
	"go": "Go", "sh": "Shell", "templ": "templ", "text": "", "html": "HTML", "css": "CSS", "js": "JavaScript", "json": "JSON",
}

// code is a block of code.
func (r nodes) code(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block, _ := n.(*ast.FencedCodeBlock)
	language := string(block.Language(source))
	label, known := languages[language]
	if !known {
		label = language
	}
	code := string(block.Lines().Value(source))
	return ast.WalkSkipChildren, components.CodeBlock(components.CodeBlockProps{
		Label: label, Code: code, Marked: highlight(language, code),
	}).Render(context.Background(), w) // it is pure, and waits for nothing
}
