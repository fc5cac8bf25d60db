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

var galleryForm = regexp.MustCompile(`(?s)<form[^>]* action="([^"]*do=click[^"]*)".*?</form>`)

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
	form := galleryForm.FindStringSubmatch(body)
	if form == nil {
		t.Fatal("the gallery has no form")
	}
	fields := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form[0], -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	header := http.Header{"Referer": {srv.URL + "/gallery"}, "Origin": {srv.URL}}
	resp, _ := do(t, c, "POST", srv.URL+html.UnescapeString(form[1]), fields, header)
	if resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the form is answered with %d", resp.StatusCode)
	}
	if _, body = do(t, c, "GET", srv.URL+"/gallery", nil, nil); !strings.Contains(body, "has clicked") {
		t.Error("the click is not shown")
	}
}
