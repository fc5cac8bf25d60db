package web_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
	"lockstep/static"
)

var (
	galleryForm = regexp.MustCompile(`(?s)<form[^>]* action="([^"]*do=(\w+)[^"]*)".*?</form>`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// liveOf is the part of the gallery that is live.
func liveOf(body string) string {
	_, live, _ := strings.Cut(body, `<section id="live"`)
	live, _, _ = strings.Cut(live, "</section>")
	return live
}

func TestTheGalleryIsLiveWithoutJavaScript(t *testing.T) {
	a := app.New(mempubsub.NewBus(), memstate.New(nil), nil)
	g := web.AddGallery(a)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(context.Background(), 0) }) // nothing is left to lose
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(web.New(a, assets, &web.Options{Gallery: g}))
	t.Cleanup(srv.Close)

	c := browser(t)
	_, body := do(t, c, "GET", srv.URL+"/gallery", nil, nil)
	if !strings.Contains(body, "Nobody was here lately") {
		t.Fatalf("got %s", body)
	}
	forms := make(map[string][]string)
	for _, form := range galleryForm.FindAllStringSubmatch(body, -1) {
		forms[form[2]] = form
	}
	for action, want := range map[string]string{"click": "has clicked", "vote": "votes for", "say": "&lt;b&gt;hello"} {
		form := forms[action]
		if form == nil {
			t.Fatalf("the gallery has no form that does %s", action)
		}
		fields := url.Values{"text": {"<b>hello"}}
		for _, m := range hiddenField.FindAllStringSubmatch(form[0], -1) {
			fields.Set(m[1], html.UnescapeString(m[2]))
		}
		header := http.Header{"Referer": {srv.URL + "/gallery"}, "Origin": {srv.URL}}
		resp, _ := do(t, c, "POST", srv.URL+html.UnescapeString(form[1]), fields, header)
		if resp.StatusCode != http.StatusSeeOther {
			t.Errorf("the form of %s is answered with %d", action, resp.StatusCode)
		}
		_, body = do(t, c, "GET", srv.URL+"/gallery", nil, nil)
		if !strings.Contains(liveOf(body), want) {
			t.Errorf("after %s the gallery does not show %s", action, want)
		}
	}
	for _, class := range []string{"ls-message", "<table", `scope="row"`, "ls-poll", "ls-tile", "ls-feed", "ls-area"} {
		if !strings.Contains(liveOf(body), class) {
			t.Errorf("nothing that is live has %s", class)
		}
	}
}
