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
	lie(t, server, ps[0])
	for _, p := range pages {
		p.hasShown666()
	}
	for _, p := range pages {
		p.showsCount(3)
	}
	pages[1].click("increment")
	for _, p := range pages {
		p.showsCount(4)
	}
}

// A replica that dies before it has taken a lie back leaves tabs that show it, and
// one that never heard of it gets them.
func TestATabThatComesWithWhatNeverWasIsTakenBack(t *testing.T) {
	server := testserver.Redis(t, "--appendonly", "no")
	replica := startCluster(t, 1, server.URL)[0]
	p := visit(t, newBrowser(t), replica.url)
	for range 3 {
		p.click("increment")
	}
	p.showsCount(3)
	p.evaluate(watched)
	lie(t, server, replica)
	p.hasShown666()
	replica.kill()
	replica.restart()
	p.showsCount(3)
	p.click("increment")
	p.showsCount(4)
}

// hasShown666 waits until the page has shown the count of a lie, if only for a moment. It has
// evaluated watched.
func (p *page) hasShown666() {
	p.t.Helper()
	eventually(p.t, "the page to have shown what a replica says", func() error {
		if got := p.evaluate(`String(shown.map(([count]) => count))`); !strings.Contains(got, "666") {
			return fmt.Errorf("it has shown %s", got)
		}
		return nil
	})
}

// lie says, with the keys of the replicas, that the lobby's count is what it never
// was.
func lie(t *testing.T, server *testserver.Server, of *process) {
	t.Helper()
	_, body := get(t, of.url+"/")
	now, ok := parseRoot(body)
	if !ok {
		t.Fatalf("no counter in %s", body)
	}
	d, err := signedpubsub.NewDriver(openDriver(t, server.URL, prefixOf(t)), [][]byte{[]byte(testSecret)}, &signedpubsub.Options{Prefix: prefixOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	liar, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	payload := stateText("666", now.Epoch, now.Version+1000)
	if err := liar.Publish(t.Context(), prefixOf(t)+lobby, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}
