package components_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"lockstep/components"
	"lockstep/components/gallery"
)

// hostile is what nobody should be called.
const hostile = `"><img src=x onerror=alert(1)></script></style><hx-partial hx-target="body">&amp;'` + "`${x}` {{.}} \u202e"

// everything is every component in as many states as one has room for, with a text wherever there
// can be one.
func everything(x string) map[string]templ.Component {
	links := []components.Link{{Text: x, To: x, Current: true}, {Text: x, To: x}}
	options := []components.Option{{Value: x, Label: x, Hint: x}, {Value: "other", Disabled: true}}
	inside := templ.Raw("<p>inside</p>")
	attrs := templ.Attributes{"class": "own", "data-own": x}
	columns := []components.Column{{Label: x, Sort: x}, {Label: x, Sort: x, Sorted: components.Ascending, Numeric: true}, {Label: x}}
	plural := components.Plural{One: x, Many: x}
	badge := components.StatusBadgeProps{State: x, ID: x, Connecting: x, Plain: x, Live: x, Degraded: x, Offline: x, Attributes: attrs}
	waiting := components.WaitingProps{N: 2, ID: x, Kept: x, One: x, Many: x, KeptYes: x, KeptNo: x, Attributes: attrs}
	notice := components.NoticeProps{Text: x, ID: x, Full: x, Long: x, File: x, Attributes: attrs}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return map[string]templ.Component{
		"document":    components.Document(components.DocumentProps{Title: x, Lang: x, Dir: x, Theme: x, Description: x, Icon: x, Styles: []string{x}, Scripts: []string{x}, Head: inside, Attributes: attrs}),
		"layout":      components.Layout(components.LayoutProps{Brand: x, Home: x, Nav: inside, Actions: inside, Aside: inside, AsideLabel: x, Footer: inside, Skip: x, Attributes: attrs}),
		"layout wide": components.Layout(components.LayoutProps{Wide: true}),
		"theme":       components.ThemeSwitch(components.ThemeSwitchProps{Theme: x, Name: x, Legend: x, System: x, Light: x, Dark: x, Attributes: attrs}),
		"nav":         components.Nav(components.NavProps{Label: x, Links: links, Attributes: attrs}),
		"nav column":  components.Nav(components.NavProps{Label: x, Links: links, Column: true}),
		"button":      components.Button(components.ButtonProps{Variant: components.Quiet, Type: x, Name: x, Value: x, Label: x, Small: true, Busy: true, Attributes: attrs}),
		"button link": components.Button(components.ButtonProps{Href: x, Attributes: attrs}),
		"input":       components.Input(components.InputProps{Name: x, ID: x, Label: x, Optional: x, Hint: x, Error: x, Type: x, Value: x, Placeholder: x, Autocomplete: x, MaxLength: 3, Required: true, Disabled: true, ReadOnly: true, Attributes: attrs}),
		"textarea":    components.Textarea(components.TextareaProps{Name: x, ID: x, Label: x, Optional: x, Hint: x, Error: x, Value: x, Placeholder: x, MaxLength: 3, Required: true, Disabled: true, ReadOnly: true, Attributes: attrs}),
		"select":      components.Select(components.SelectProps{Name: x, ID: x, Label: x, Optional: x, Hint: x, Error: x, Options: options, Value: x, Placeholder: x, Required: true, Disabled: true, Attributes: attrs}),
		"checkbox":    components.Checkbox(components.CheckboxProps{Name: x, ID: x, Label: x, Hint: x, Error: x, Value: x, Checked: true, Required: true, Disabled: true, Attributes: attrs}),
		"radio":       components.Radio(components.RadioProps{Name: x, ID: x, Legend: x, Hint: x, Error: x, Options: options, Value: x, Required: true, Attributes: attrs}),
		"radio line":  components.Radio(components.RadioProps{Name: x, Inline: true, Options: options}),
		"status":      components.StatusBadge(badge),
		"waiting":     components.Waiting(waiting),
		"notice":      components.Notice(notice),
		"messages":    components.Messages(components.MessagesProps{Status: badge, Waiting: waiting, Notice: notice, Degraded: x, Offline: x, Unkept: x, Lost: plural, Strange: plural, OK: x, Outcome: x, Served: x, Replica: x, Attributes: attrs}),
		"flash":       components.Flash(components.FlashProps{Tone: components.Warn, Title: x, Text: x, Dismiss: x, Attributes: attrs}),
		"toasts":      components.Toasts(components.ToastsProps{ID: x, Label: x, Attributes: attrs}),
		"dialog":      components.Dialog(components.DialogProps{ID: x, Title: x, Open: x, Close: x, Attributes: attrs}),
		"confirm":     components.Confirm(components.ConfirmProps{ID: x, Open: x, Title: x, Text: x, Cancel: x, Attributes: attrs}),
		"dropdown":    components.Dropdown(components.DropdownProps{Label: x, Links: links, End: true, Attributes: attrs}),
		"tabs":        components.Tabs(components.TabsProps{ID: x, Label: x, Tabs: []components.Tab{{Label: x, Content: inside}, {Label: x, Content: inside}}, Attributes: attrs}),
		"table":       components.Table(components.TableProps{Caption: x, Columns: columns, HideTitle: true, Attributes: attrs}),
		"row":         components.Row(components.RowProps{Columns: columns, Cells: []string{x, x, x, x}, Attributes: attrs}),
		"pagination":  components.Pagination(components.PaginationProps{Page: 9, Pages: 20, Href: func(int) string { return x }, Label: x, Previous: x, Next: x, Attributes: attrs}),
		"empty":       components.EmptyState(components.EmptyStateProps{Title: x, Text: x, Icon: inside, Attributes: attrs}),
		"skeleton":    components.Skeleton(components.SkeletonProps{Avatar: true, Label: x, Attributes: attrs}),
		"progress":    components.Progress(components.ProgressProps{Label: x, Value: math.NaN(), Text: x, Attributes: attrs}),
		"avatar":      components.Avatar(components.AvatarProps{Name: x, Picture: x, Small: true, Here: true, Attributes: attrs}),
		"presence":    components.Presence(components.PresenceProps{Names: []string{x, x, x}, Most: 2, Here: x, Attributes: attrs}),
		"nobody":      components.Presence(components.PresenceProps{Nobody: x}),
		"feed":        components.ActivityFeed(components.ActivityFeedProps{Label: x, Items: []components.Activity{{Who: x, Text: x, At: at, When: x}}, Attributes: attrs}),
		"no feed":     components.ActivityFeed(components.ActivityFeedProps{Empty: x}),
		"message":     components.ChatMessage(components.ChatMessageProps{Who: x, By: x, Text: x, At: at, When: x, Pending: true, Attributes: attrs}),
		"poll":        components.PollBars(components.PollBarsProps{Label: x, Options: []components.PollOption{{Label: x, N: 1, Mine: true}}, Mine: x, Attributes: attrs}),
		"stat":        components.StatTile(components.StatTileProps{Label: x, Value: x, Unit: x, Change: x, Tone: components.Warn, Attributes: attrs}),
		"spark":       components.Sparkline(components.SparklineProps{Label: x, Values: []float64{1, math.NaN(), math.Inf(1)}, Attributes: attrs}),
		"series": components.TimeSeries(components.TimeSeriesProps{Title: x, Unit: x, From: at, Interval: time.Minute, Clock: x, Data: x, Format: func(float64) string { return x }, Attributes: attrs,
			Series: []components.Series{{Name: x, Values: []float64{1, 2}}, {Name: x}, {Name: x, Values: []float64{3}}, {Name: x}}}),
		"bars":      components.BarChart(components.BarChartProps{Title: x, Unit: x, Data: x, Bars: []components.Bar{{Label: x, Value: -2}, {Label: x, Value: math.Inf(1)}}, Attributes: attrs}),
		"histogram": components.Histogram(components.HistogramProps{Title: x, Unit: x, Bin: x, Count: x, Data: x, Edges: []float64{0, 1, 2}, Counts: []int{1, 2, 3}, Marks: []components.Mark{{Label: x, At: 1}, {Label: x, At: 7}}, Attributes: attrs}),
		"code":      components.CodeBlock(components.CodeBlockProps{Code: x, Label: x, Copy: x, Copied: x, Attributes: attrs}),
		"keys":      components.Kbd(components.KbdProps{Keys: []string{x, x}, Attributes: attrs}),
	}
}

func TestHostileTextChangesNothingButText(t *testing.T) {
	plain := everything("plain")
	for name, c := range everything(hostile) {
		if got, want := skeleton(t, render(t, c)), skeleton(t, render(t, plain[name])); got != want {
			t.Errorf("%s: got the elements\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestAnAddressIsNoScript(t *testing.T) {
	for name, c := range everything("javascript:alert(1)") {
		for _, el := range elements(t, render(t, c)) {
			for _, a := range el.Attr {
				if slices.Contains([]string{"href", "src", "action", "formaction"}, a.Name.Local) && strings.HasPrefix(a.Value, "javascript:") && el.Name.Local != "link" && el.Name.Local != "script" {
					t.Errorf("%s: got <%s %s=%q>", name, el.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestZeroPropsAreRendered(t *testing.T) {
	for name, c := range map[string]templ.Component{
		"button": components.Button(components.ButtonProps{}), "tabs": components.Tabs(components.TabsProps{}), "table": components.Table(components.TableProps{}),
		"pages": components.Pagination(components.PaginationProps{}), "poll": components.PollBars(components.PollBarsProps{}), "avatar": components.Avatar(components.AvatarProps{}),
		"series": components.TimeSeries(components.TimeSeriesProps{}), "bars": components.BarChart(components.BarChartProps{}), "histogram": components.Histogram(components.HistogramProps{}),
		"spark": components.Sparkline(components.SparklineProps{}), "progress": components.Progress(components.ProgressProps{}), "keys": components.Kbd(components.KbdProps{}),
		"layout": components.Layout(components.LayoutProps{}), "messages": components.Messages(components.MessagesProps{}),
	} {
		if html := render(t, c); strings.Contains(html, "NaN") || strings.Contains(html, "Inf") || strings.Contains(html, `class=""`) {
			t.Errorf("%s: got %s", name, html)
		}
	}
}

func TestAUsersAttributesAreAdded(t *testing.T) {
	for name, c := range everything("plain") {
		html := render(t, c)
		if strings.Contains(html, "data-own") && !regexp.MustCompile(`class="[^"]*\bown"`).MatchString(html) {
			t.Errorf("%s: the class is not joined: %s", name, html)
		}
		for _, el := range elements(t, html) {
			var names []string
			for _, a := range el.Attr {
				names = append(names, a.Name.Space+":"+a.Name.Local)
			}
			if slices.Sort(names); len(slices.Compact(names)) != len(el.Attr) {
				t.Errorf("%s: <%s> has an attribute twice: %v", name, el.Name.Local, names)
			}
		}
	}
}

func TestNothingIsInline(t *testing.T) {
	for name, c := range pages() {
		for _, el := range elements(t, render(t, c)) {
			if el.Name.Local == "style" {
				t.Errorf("%s has a style element", name)
			}
			for _, a := range el.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("%s: got <%s %s=%q>", name, el.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

// pages are everything, and the gallery.
func pages() map[string]templ.Component {
	all := everything("plain")
	all["the gallery"] = gallery.Page(nil)
	return all
}

func TestIDsInTheGalleryAreThereOnce(t *testing.T) {
	ids := make(map[string]int)
	var wanted []string
	for _, el := range elements(t, render(t, gallery.Page(nil))) {
		for _, a := range el.Attr {
			switch a.Name.Local {
			case "id":
				ids[a.Value]++
			case "for", "aria-labelledby", "aria-describedby", "popovertarget":
				wanted = append(wanted, strings.Fields(a.Value)...)
			case "href":
				if id, ok := strings.CutPrefix(a.Value, "#"); ok {
					wanted = append(wanted, id)
				}
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have the id %q", n, id)
		}
	}
	for _, id := range wanted {
		if ids[id] == 0 {
			t.Errorf("no element has the id %q, which is referred to", id)
		}
	}
}

// The parts of a page that package lockstep's scripts know.
func TestMessagesHaveWhatScriptsLookFor(t *testing.T) {
	html := render(t, components.Messages(components.MessagesProps{Replica: "one"}))
	for _, id := range []string{"status", "said", "waiting", "notice", "unkept", "lost", "strange", "replica"} {
		if !strings.Contains(html, `id="`+id+`"`) {
			t.Errorf("there is no #%s", id)
		}
	}
	for _, attr := range []string{"data-state=", "data-full=", "data-long=", "data-file=", "data-n=", `data-for="one"`, `data-for="many"`, `data-for="yes"`, `data-for="no"`} {
		if !strings.Contains(html, attr) {
			t.Errorf("there is no %s", attr)
		}
	}
	field := render(t, components.Input(components.InputProps{Name: "email"}))
	if !strings.Contains(field, `id="error-email"`) || !strings.Contains(field, `aria-describedby="error-email"`) {
		t.Errorf("forms.js does not find the place of an error in %s", field)
	}
}

// An importer of this module gets templ, and nothing else.
func TestTheModuleNeedsTemplAlone(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var needs []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " v") {
			needs = append(needs, strings.Fields(strings.TrimPrefix(line, "require "))[0])
		}
	}
	if !slices.Equal(needs, []string{"github.com/a-h/templ"}) {
		t.Errorf("got %v, want templ alone", needs)
	}
}

// elements are the start tags of a document.
func elements(t *testing.T, html string) (all []xml.StartElement) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<root>" + html + "</root>"))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in %s", err, html)
		}
		if el, ok := token.(xml.StartElement); ok {
			all = append(all, el.Copy())
		}
	}
}

// skeleton is the elements and the names of their attributes.
func skeleton(t *testing.T, html string) string {
	t.Helper()
	var b strings.Builder
	for _, el := range elements(t, html) {
		b.WriteString(el.Name.Local)
		for _, a := range el.Attr {
			fmt.Fprintf(&b, " %s", a.Name.Local)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
