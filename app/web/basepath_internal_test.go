package web

import (
	"slices"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
	"lockstep/static"
)

func TestABasePathIsNoAddressThatIsRouted(t *testing.T) {
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	s := New(app.New(mempubsub.NewBus(), memstate.New(nil), nil), assets, nil)
	defer s.Close()
	for _, r := range s.echo.Routes() {
		first, _, _ := strings.Cut(r.Path[1:], "/")
		if first != "" && !slices.Contains(ownPaths(), first) {
			t.Errorf("%s is routed: ownPaths must have %s", r.Path, first)
		}
	}
}
