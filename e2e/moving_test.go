package e2e_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// movingCommand is a command of docs/moving-brokers.md.
var movingCommand = regexp.MustCompile(`(?m)^ +web -pubsub (?:"([^"]+)"|(\S+)) -store (\S+)$`)

// TestReplicasMoveFromRedisToNATS by the commands of docs/moving-brokers.md: with Redis alone, with
// both, with NATS alone, each replica after the other, behind the nginx.conf that is deployed and
// under clicks. While they have both, each broker is cut off in turn, and no replica minds. No
// click is lost or counted twice, no tab goes back, and nobody who visits gets an error.
func TestReplicasMoveFromRedisToNATS(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/moving-brokers.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := movingCommand.FindAllStringSubmatch(string(text), -1)
	if len(commands) != 3 {
		t.Fatalf("the document has %d commands", len(commands))
	}
	w := newCluster(t, demo(), redis, counters(), false)
	nats := testserver.NATS(w, "")
	nats.Own()
	redisWay, natsWay := testserver.NewProxy(w, w.server.Addr), testserver.NewProxy(w, nats.Addr)
	local := strings.NewReplacer("redis://redis:6379", redisWay.Rewrite(w.server.URL), "nats://nats:4222", natsWay.Rewrite(nats.URL))
	w.startReplicas(3, "-trusted-proxies", "loopback") // with Redis alone, as the first command has it
	base := w.nginx()
	for range clusterTabs {
		w.group.open(w.group.path(), base)
	}
	w.group.connected()
	w.load()
	visitors := newVisitors(w, base)
	for _, c := range commands[1:] {
		broker := local.Replace(c[1] + c[2])
		for _, p := range w.ps {
			if code := p.term(); code != 0 {
				t.Errorf("got exit code %d, want 0", code)
			}
			p.args[slices.Index(p.args, "-pubsub")+1] = broker
			p.restart()
			w.recovered()
		}
		if c[1] == "" {
			continue
		}
		for way, name := range map[*testserver.Proxy]string{redisWay: "first_broker_away", natsWay: "second_broker_away"} {
			way.Refuse(true)
			w.ps[0].prints(name)
			w.hold(300 * time.Millisecond)
			if err := w.allReady(); err != nil {
				t.Errorf("with %s: %v", name, err)
			}
			way.Refuse(false)
			w.recovered()
		}
	}
	visitors.leave()
	redisWay.Refuse(true) // nobody needs it any more
	w.recovered()
	w.settle()
	if n := w.group.h.Acknowledged(); n < 100 {
		t.Errorf("only %d clicks were acknowledged: too few to say anything", n)
	}
}
