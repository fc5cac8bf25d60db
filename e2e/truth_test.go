package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/testserver"
	"lockstep/pubsub/signedpubsub"
)

// A replica with another store has the right keys, and says what never was. Open
// tabs are taken back to the truth, and go on from there.
func TestTabsAreTakenBackFromWhatNeverWas(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t, "--appendonly", "no")
	ps := startCluster(t, 2, server.URL)
	browser := newBrowser(t)
	pages := []*page{visit(t, browser, ps[0].url), visit(t, browser, ps[1].url)}
	for range 3 {
		pages[0].click("increment")
	}
	for _, p := range pages {
		p.showsCount(3)
		p.evaluate(watched) // what is shown for a moment may be gone when a test asks
	}
	_, body := get(t, ps[0].url+"/")
	now, ok := parseRoot(body)
	if !ok {
		t.Fatalf("no counter in %s", body)
	}
	d, err := signedpubsub.NewDriver(openDriver(t, redis, server.URL, prefixOf(t)), [][]byte{[]byte(testSecret)}, &signedpubsub.Options{Prefix: prefixOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	liar, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	lie := fmt.Sprintf(`{"n":666,"v":%d,"e":%d}`, now.Version+1000, now.Epoch)
	if err := liar.Publish(t.Context(), prefixOf(t)+"counter:lobby", []byte(lie)); err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		eventually(t, "the page to have shown what a replica says", func() error {
			if got := p.evaluate(`String(shown.map(([count]) => count))`); !strings.Contains(got, "666") {
				return fmt.Errorf("it has shown %s", got)
			}
			return nil
		})
	}
	for _, p := range pages {
		p.showsCount(3)
	}
	pages[1].click("increment")
	for _, p := range pages {
		p.showsCount(4)
	}
}
