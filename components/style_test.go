package components_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lockstep/components"
)

// A theme has the colours of custom properties, by their names without the prefix.
type theme map[string]string

var property = regexp.MustCompile(`--ls-([a-z0-9-]+): light-dark\((#[0-9a-f]{6,8}), (#[0-9a-f]{6,8})\);`)

// themes are the colours of the style sheet: light, dark, and both for those who prefer more
// contrast.
func themes(t *testing.T) (plain, contrast map[string]theme) {
	t.Helper()
	css := components.StyleSheet()
	_, after, ok := strings.Cut(css, "@media (prefers-contrast: more) {")
	if !ok {
		t.Fatal("the style sheet has nothing for those who prefer more contrast")
	}
	before, _, _ := strings.Cut(css, "@media (prefers-contrast: more) {")
	more, _, _ := strings.Cut(after, "\n}\n")
	plain = map[string]theme{"light": {}, "dark": {}}
	read(before, plain)
	contrast = map[string]theme{"light": maps.Clone(plain["light"]), "dark": maps.Clone(plain["dark"])}
	read(more, contrast)
	return plain, contrast
}

func read(css string, into map[string]theme) {
	for _, m := range property.FindAllStringSubmatch(css, -1) {
		into["light"][m[1]], into["dark"][m[1]] = m[2], m[3]
	}
}

// A pair is what stands on what, and how much they have to differ: WCAG 2.2, 1.4.3 and 1.4.11.
type pair struct {
	over, under string
	least       float64
}

func pairs() (all []pair) {
	for _, ground := range []string{"paper", "surface"} {
		for _, text := range []string{"ink", "muted", "accent", "accent-strong", "good", "warn", "bad"} {
			all = append(all, pair{text, ground, 4.5})
		}
		all = append(all, pair{"field", ground, 3})
		for i := range 8 {
			all = append(all, pair{"hue-" + strconv.Itoa(i), ground, 4.5})
		}
	}
	for i := range 8 {
		all = append(all, pair{"on-hue", "hue-" + strconv.Itoa(i), 4.5})
	}
	for _, tone := range []string{"good", "warn", "bad"} {
		for _, text := range []string{tone, "ink", "accent", "accent-strong"} {
			all = append(all, pair{text, tone + "-soft", 4.5})
		}
	}
	return append(all,
		pair{"ink", "sunken", 4.5}, pair{"muted", "sunken", 4.5}, pair{"accent-strong", "sunken", 4.5}, pair{"accent", "sunken", 3},
		pair{"ink", "accent-soft", 4.5}, pair{"accent-strong", "accent-soft", 4.5}, pair{"accent", "accent-soft", 3},
		pair{"on-accent", "accent", 4.5}, pair{"on-accent", "accent-strong", 4.5},
		pair{"on-danger", "danger", 4.5}, pair{"on-danger", "danger-strong", 4.5},
	)
}

func TestColoursCanBeToldApart(t *testing.T) {
	plain, contrast := themes(t)
	for name, colours := range plain {
		checkPairs(t, name, colours, pairs())
	}
	more := pairs()
	for _, ground := range []string{"paper", "surface"} {
		for _, text := range []string{"ink", "muted", "accent", "good", "warn", "bad"} {
			more = append(more, pair{text, ground, 7})
		}
		more = append(more, pair{"field", ground, 7}, pair{"line", ground, 4.5})
	}
	for name, colours := range contrast {
		checkPairs(t, name+", with more contrast", colours, more)
	}
}

func checkPairs(t *testing.T, name string, colours theme, all []pair) {
	t.Helper()
	for _, p := range all {
		over, under := colours[p.over], colours[p.under]
		if over == "" || under == "" {
			t.Errorf("%s: --ls-%s or --ls-%s is no colour", name, p.over, p.under)
			continue
		}
		if got := ratio(t, over, under); got < p.least {
			t.Errorf("%s: %s on %s is %.2f, want %v at least", name, p.over, p.under, got, p.least)
		}
	}
}

// ratio is the contrast of two colours, as WCAG 2.2 has it.
func ratio(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	var c [3]uint8
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &c[0], &c[1], &c[2]); err != nil {
		t.Fatalf("%q: %v", colour, err)
	}
	var l [3]float64
	for i, v := range c {
		s := float64(v) / 255
		if l[i] = s / 12.92; s > 0.04045 {
			l[i] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func TestTheRatioIsThatOfTheStandard(t *testing.T) {
	if got := ratio(t, "#000000", "#ffffff"); math.Abs(got-21) > 1e-9 {
		t.Errorf("black on white: got %v, want 21", got)
	}
	if got := ratio(t, "#777777", "#ffffff"); math.Abs(got-4.48) > 0.01 {
		t.Errorf("grey on white: got %v, want 4.48", got)
	}
}

var (
	comment    = regexp.MustCompile(`(?s)/\*.*?\*/`)
	styled     = regexp.MustCompile(`\.(ls-[a-z0-9-]+)`)
	used       = regexp.MustCompile(`var\(--(ls-[a-z0-9-]+)`)
	defined    = regexp.MustCompile(`--(ls-[a-z0-9-]+):`)
	classNames = regexp.MustCompile(`class="([^"]*)"`)
)

func names(re *regexp.Regexp, text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Fields(m[1]) {
			all[name] = true
		}
	}
	return all
}

func TestTheStyleSheetKnowsTheClassesOfComponents(t *testing.T) {
	var html strings.Builder
	for _, c := range pages() {
		html.WriteString(render(t, c))
	}
	rendered := names(classNames, html.String())
	css := names(styled, comment.ReplaceAllString(components.StyleSheet(), ""))
	for class := range css {
		if !rendered[class] && !strings.HasPrefix(class, "ls-hue-") {
			t.Errorf("no component has the class %s", class)
		}
	}
	for class := range rendered {
		if strings.HasPrefix(class, "ls-") && !css[class] {
			t.Errorf("the style sheet does not know the class %s", class)
		}
	}
}

func TestEachCustomPropertyIsSetAndUsed(t *testing.T) {
	css := components.StyleSheet()
	is, wanted := names(defined, css), names(used, css)
	for name := range wanted {
		if !is[name] {
			t.Errorf("--%s is not set", name)
		}
	}
	for name := range is {
		if !wanted[name] {
			t.Errorf("--%s is not used", name)
		}
	}
}

func TestThereIsAStyleForHowPeopleSee(t *testing.T) {
	for _, want := range []string{"@media (prefers-contrast: more)", "@media (forced-colors: active)", "@media (prefers-reduced-motion: no-preference)", "@media print", ":dir(rtl)"} {
		if !strings.Contains(components.StyleSheet(), want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// Sides have names that follow the direction of the text.
func TestThereIsNoLeftAndRight(t *testing.T) {
	physical := regexp.MustCompile(`\b(margin|padding|border)-(left|right|top|bottom)\b|[^-]\b(left|right): |float: (left|right)`)
	for line := range strings.Lines(comment.ReplaceAllString(components.StyleSheet(), "")) {
		if physical.MatchString(line) {
			t.Errorf("got %q", strings.TrimSpace(line))
		}
	}
}

func TestTheFilesAreSmall(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		most int
	}{
		"lockstep.css": {components.StyleSheet(), 48 << 10}, "lockstep.js": {components.Script(), 4 << 10},
	} {
		if got := len(c.text); got > c.most || got == 0 {
			t.Errorf("%s has %d bytes, want %d at most", name, got, c.most)
		}
	}
}
