package web_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

func TestAPageIsShownSideBySide(t *testing.T) {
	a := app.New(mempubsub.NewBus(), memstate.New(nil), nil)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := web.New(a, assetsWithProgram(t), &web.Options{Front: 8000, Siblings: []web.Sibling{{Name: "one", Port: 8001}, {Name: "two", Port: 8002}}})
	apart := httptest.NewServer(h)
	t.Cleanup(func() {
		apart.Close()
		h.Close()
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	behind, _ := serving(t)
	ports := " http://127.0.0.1:8001 http://127.0.0.1:8002"
	const none = "frame-ancestors 'none'"
	for _, test := range []struct {
		url, path string
		code      int
		policy    string // has
		framed    bool   // by whoever may
		html      string // has
	}{
		{apart.URL, "/split", 200, "frame-src 'self'" + ports, false, `<iframe src="http://127.0.0.1:8002/?view=small"`},
		{apart.URL, "/split?topic=poll:lunch", 200, none, false, `<iframe src="http://127.0.0.1:8001/poll/lunch?view=small" title="lunch on one"`},
		{apart.URL, "/?view=small", 200, "frame-ancestors 'self' http://127.0.0.1:8000" + ports, true, "/static/small."},
		{apart.URL, "/", 200, none, false, `"/split?topic=counter%3Alobby"`},
		{apart.URL, "/split?topic=poll:NO", 404, none, false, "404"},
		{apart.URL, "/split?topic=%22%3E%3Cscript%3E", 404, none, false, "404"},
		{behind, "/split", 200, "frame-src 'self'", false, `<iframe src="/?view=small" title="lobby on Tab 2"`},
		{behind, "/poll/lunch?view=small", 200, "frame-ancestors 'self';", true, "/static/small."},
		{behind, "/poll/lunch?view=other", 200, none, false, "/static/app."},
	} {
		t.Run(test.path, func(t *testing.T) {
			resp, html := do(t, browser(t), "GET", test.url+test.path, nil, nil)
			if resp.StatusCode != test.code || !strings.Contains(html, test.html) {
				t.Errorf("got %d without %s: %s", resp.StatusCode, test.html, html)
			}
			if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, test.policy) {
				t.Errorf("the policy is %s, want %s", policy, test.policy)
			}
			if denied := resp.Header.Get("X-Frame-Options") == "DENY"; denied == test.framed {
				t.Errorf("that it may not be in a frame is said: %t", denied)
			}
		})
	}
}
