package dev

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFoldersBelowOthersAreNotLookedAtTwice(t *testing.T) {
	at := filepath.FromSlash
	got := outermost([]string{at("/b/c"), at("/a"), at("/b"), at("/ab"), at("/a"), at("/b/c/d")})
	if want := []string{at("/a"), at("/ab"), at("/b")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatAGeneratorReadsIsItsOwn(t *testing.T) {
	root := absolute(".")
	all := generatorsOf([]string{root}, []string{"pages", "static=wire,icons"})
	for name, want := range map[string]int{
		"pages/page.templ": 0, "pages/page.go": 0, "static/a.css": 1, "wire/limits.go": 1, "icons/x.svg": 1, "app/page.templ": 2, "app/page.go": -1,
	} {
		if got := slices.IndexFunc(all, func(g generator) bool { return g.from(absolute(name)) }); got != want {
			t.Errorf("%s: got generator %d, want %d", name, got, want)
		}
	}
	if all[0].dir != absolute("pages") || all[1].templ || !all[2].templ || all[2].dir != root {
		t.Errorf("got %+v", all)
	}
}

// TestAServerIsToldWhatNobodyElseHasSaid, and nothing else.
func TestAServerIsToldWhatNobodyElseHasSaid(t *testing.T) {
	got := environment(func(name string) string { return map[string]string{"LOCKSTEP_URL": "redis://there"}[name] }, "bin")
	if len(got) != 2 || got[0] != "DRAIN=0s" || len(got[1]) < len("LOCKSTEP_SECRET=")+32 || !strings.HasPrefix(got[1], "LOCKSTEP_SECRET=") {
		t.Errorf("got %q, want a secret of 32 bytes", got)
	}
	got = environment(func(string) string { return "" }, "bin")
	if !slices.Contains(got, "LOCKSTEP_URL=file:"+filepath.Join("bin", "data")) {
		t.Errorf("got %q, want a store", got)
	}
}

func TestAPortThatIsTakenIsSaidInOneSentence(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = listen(t.Context(), l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "is taken: end what listens there") {
		t.Errorf("got %v", err)
	}
}
