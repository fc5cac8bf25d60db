package htmx

import (
	"html"
	"strconv"
	"strings"
)

// A List is what a Partial says of items beside their HTML. The tab puts what is there in place by
// the ids of elements, so nothing depends on the order of the HTML; see docs/protocol.md. Ids that
// have a colon or a blank in them can't be named.
type List struct {
	// All says that the items are all there are, in their order: those that the tab has beside
	// them go. Put and Gone are not needed then.
	All bool
	// Put are the items that are new, or have another place, in the order of the new version. An
	// item that is in the HTML alone keeps its place; one that the tab does not have goes to the end.
	Put []Place
	// Gone are the ids of items that are no more.
	Gone []string
	// Gap is how many entries of a log the tab has missed, before the first of the HTML. It is said
	// with All.
	Gap uint64
}

// A Place is where an item is: behind another one; behind "" it is the first.
type Place struct{ ID, Behind string }

// write writes the element that a page's script reads.
func (l *List) write(b *strings.Builder, p Partial) {
	b.WriteString(`<hx-list hx-target="`)
	b.WriteString(p.Target)
	b.WriteByte('"')
	if l.All {
		b.WriteString(" all")
	}
	if l.Gap > 0 {
		b.WriteString(` gap="` + strconv.FormatUint(l.Gap, 10) + `"`)
	}
	l.writePut(b)
	if len(l.Gone) > 0 {
		b.WriteString(` gone="`)
		b.WriteString(html.EscapeString(strings.Join(l.Gone, " ")))
		b.WriteByte('"')
	}
	b.WriteByte('>')
	b.WriteString(p.HTML)
	b.WriteString(`</hx-list>`)
}

func (l *List) writePut(b *strings.Builder) {
	if len(l.Put) == 0 {
		return
	}
	b.WriteString(` put="`)
	for i, place := range l.Put {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(html.EscapeString(place.ID))
		b.WriteByte(':')
		b.WriteString(html.EscapeString(place.Behind))
	}
	b.WriteByte('"')
}
