package static_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/htmx"
)

// wire returns the constants of the scripts by name: milliseconds and counts.
func wire(t *testing.T) map[string]int {
	t.Helper()
	script, err := os.ReadFile("constants.js")
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^export const (\w+) = (\d+);$`).FindAllStringSubmatch(string(script), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		numbers[m[1]] = n
	}
	if len(numbers) == 0 {
		t.Fatal("constants.js has no constants")
	}
	return numbers
}

// files returns what the patterns name; each must name something.
func files(t *testing.T, patterns ...string) (all []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: got %v, %v, want files", p, found, err)
		}
		all = append(all, found...)
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A power of ten may stand for anything, and so may half a second: it is the page's
// configuration that has RECONNECT_MIN.
func TestNoScriptHasACopyOfAConstant(t *testing.T) {
	names := map[string]string{}
	for name, n := range wire(t) {
		text := strconv.Itoa(n)
		if name != "RECONNECT_MIN" && (strings.Trim(text[1:], "0") != "" || text[0] != '1') {
			names[text] = name
		}
	}
	number := regexp.MustCompile(`\b\d{3,}\b`)
	for _, file := range files(t, "*.js", "tab/*.js", "wasm/*.js") {
		if file == "constants.js" || strings.HasSuffix(file, ".test.js") {
			continue
		}
		for i, line := range strings.Split(read(t, file), "\n") {
			code, _, _ := strings.Cut(strings.ReplaceAll(line, "w3.org/2000/", ""), "// ") // the name of SVG has a year in it
			if name := names[number.FindString(code)]; name != "" {
				t.Errorf("%s:%d: %s: is that %s of constants.js?", file, i+1, strings.TrimSpace(line), name)
			}
		}
	}
}

// Tabs that are no browsers do what the page does. The numbers that are looked
// for are those that mean nothing else there.
func TestNoOtherTabHasACopyOfAConstant(t *testing.T) {
	copies := regexp.MustCompile(`(?m)^\s+\w+\s+= (?:(\d+) \* time\.Second|(\d+)\b).*$`)
	for _, file := range files(t, "../e2e/*client*_test.go", "../tools/loadgen/load/internal/browser/*.go", "../live/livetest/*.go") {
		for _, m := range copies.FindAllStringSubmatch(read(t, file), -1) {
			seconds, _ := strconv.Atoi(m[1]) // 0: it has none
			count, _ := strconv.Atoi(m[2])
			switch time.Duration(seconds) * time.Second {
			case htmx.SilenceTimeout, htmx.AnswerTimeout, htmx.ConnectTimeout, htmx.ShortConnection:
				t.Errorf("%s: %s: package htmx has that", file, strings.TrimSpace(m[0]))
			}
			if count == htmx.MaxOutbox {
				t.Errorf("%s: %s: package htmx has that", file, strings.TrimSpace(m[0]))
			}
		}
	}
}

// Prose says numbers too: those of the wire stand in one table.
func TestTheProtocolHasAllConstants(t *testing.T) {
	doc := read(t, "../docs/protocol.md")
	for name, n := range wire(t) {
		m := regexp.MustCompile("(?m)^\\| `" + name + "` \\| ([0-9.]+)( s|) \\| .* \\|$").FindStringSubmatch(doc)
		if m == nil {
			t.Errorf("docs/protocol.md: no row says what %s is", name)
			continue
		}
		got, _ := strconv.ParseFloat(m[1], 64) // it matched
		if m[2] != "" {
			got *= 1000
		}
		if got != float64(n) {
			t.Errorf("docs/protocol.md: got %s%s for %s, want %d", m[1], m[2], name, n)
		}
	}
}
