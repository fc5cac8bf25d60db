package page_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/bench/page"
)

func TestTheProseOfAPageIsWrapped(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 30))
	first, rest := long[:99], strings.TrimSpace(long[99:])
	tests := []struct{ name, page, want string }{
		{"a paragraph", long, first + "\n" + rest},
		{"an item", "- " + long, "- " + first[:94] + "\n  word " + rest},
		{"a table", "| " + long, "| " + long},
		{"code", "```\n" + long + "\n```\n" + long, "```\n" + long + "\n```\n" + first + "\n" + rest},
	}
	for _, test := range tests {
		if got := page.Wrap(test.page); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestEachPartOfAPageIsKeptByTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(f func(path, text string) error, text string) string {
		if err := f(path, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	if got := write(page.WritePeers, "peers\n"); got != "peers\n" {
		t.Errorf("a page without stores: got %q", got)
	}
	first := write(page.WriteStores, "ours\n")
	if !strings.HasPrefix(first, "peers\n\n<!--") || !strings.HasSuffix(first, "-->\n\nours\n") {
		t.Errorf("got %q", first)
	}
	if got := write(page.WritePeers, "peers\n"); got != first {
		t.Errorf("peers again: got %q, want %q", got, first)
	}
	if got := write(page.WriteStores, "ours\n"); got != first {
		t.Errorf("stores again: got %q, want %q", got, first)
	}
	want := strings.NewReplacer("peers", "others", "ours", "files").Replace(first)
	write(page.WriteStores, "files\n")
	if got := write(page.WritePeers, "others\n"); got != want {
		t.Errorf("both anew: got %q, want %q", got, want)
	}

	end := "\n<!-- Below is what people write. -->\n\ntheirs\n"
	if err := os.WriteFile(path, []byte(first+end), 0o600); err != nil {
		t.Fatal(err)
	}
	write(page.WriteStores, "files\n")
	if got := write(page.WritePeers, "others\n"); got != want+end {
		t.Errorf("with an end that people have written: got %q, want %q", got, want+end)
	}
}
