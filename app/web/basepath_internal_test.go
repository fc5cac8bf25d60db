package web

import (
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state/memstate"
	"lockstep/static"
)

func TestABasePathIsNoAddressThatIsRouted(t *testing.T) {
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	a := app.New(mempubsub.NewBus(), memstate.New(nil), nil)
	s := serve.New(a.App, assets, &serve.Options{Mount: "/"})
	defer s.Close()
	for _, r := range newEcho(s, a, assets, &Options{}).Routes() {
		first, _, _ := strings.Cut(r.Path[1:], "/")
		if first != "" && ValidBasePath("/"+first) && !strings.ContainsAny(first, ":*") {
			t.Errorf("%s is routed: ownPaths must have %s", r.Path, first)
		}
	}
}
