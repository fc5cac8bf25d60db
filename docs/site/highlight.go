package site

import (
	"strings"

	"github.com/a-h/templ"
	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
)

// highlight returns code with a class for each word that has a colour. Nil: the language has none.
func highlight(language, code string) templ.Component {
	lexer := lexers.Get(language)
	if lexer == nil || language == "text" || language == "" {
		return nil
	}
	words, err := chroma.Coalesce(lexer).Tokenise(nil, code)
	if err != nil {
		return nil
	}
	var b strings.Builder
	for _, word := range words.Tokens() {
		text := templ.EscapeString(word.Value)
		if class := classOf(word.Type); class != "" {
			text = `<span class="` + class + `">` + text + `</span>`
		}
		b.WriteString(text)
	}
	return templ.Raw(b.String())
}

// classOf is the class of a kind of words; "": they look as all text does.
func classOf(t chroma.TokenType) string {
	switch {
	case t.InCategory(chroma.Comment):
		return "code-comment"
	case t.InCategory(chroma.Keyword), t == chroma.NameTag:
		return "code-keyword"
	case t.InSubCategory(chroma.LiteralString):
		return "code-string"
	case t.InSubCategory(chroma.LiteralNumber), t == chroma.NameAttribute:
		return "code-number"
	case t == chroma.NameFunction, t == chroma.NameClass, t == chroma.NameBuiltin:
		return "code-name"
	}
	return ""
}
