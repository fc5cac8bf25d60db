package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestABoardHasAPageWithWhatItNeeds, and other pages lead to it and do without.
func TestABoardHasAPageWithWhatItNeeds(t *testing.T) {
	url, _ := serving(t)
	c := browser(t)
	get := func(path string) (status int, body string) {
		t.Helper()
		res, body := do(t, c, http.MethodGet, url+path, nil, nil)
		return res.StatusCode, body
	}
	for path, want := range map[string]int{"/soft/lobby": http.StatusOK, "/soft/lobby/": http.StatusMovedPermanently, "/soft/no_name": http.StatusNotFound} {
		if got, _ := get(path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	if _, body := get("/soft/no_name"); !strings.Contains(body, "No such board") {
		t.Errorf("got %s, want a sentence about boards", body)
	}
	_, page := get("/soft/lobby")
	for _, part := range []string{`data-topic="soft:lobby"`, "/static/soft.", ".css", `href="/poll/lobby"`, "in=soft%3Alobby"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page of a board has no %s", part)
		}
	}
	for _, part := range []string{`id="renderer"`, `href="/wasm/`} {
		if strings.Contains(page, part) {
			t.Errorf("the page of a board has %s, which is for states", part)
		}
	}
	if _, other := get("/"); !strings.Contains(other, `href="/soft/lobby"`) || strings.Contains(other, "/static/soft.") {
		t.Error("another page does not lead to a board, or loads what only that needs")
	}
}
