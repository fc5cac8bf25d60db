package rabbitpubsub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/rabbitpubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, at string) driver.Driver {
	t.Helper()
	d, err := rabbitpubsub.NewDriver(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// open returns a connection that ends with the test.
func open(t testing.TB, at string) driver.Conn {
	t.Helper()
	return drivertest.Open(t, newDriver(t, at))
}

// subscribed is open, with a subscription.
func subscribed(t testing.TB, at, topic string) driver.Conn {
	t.Helper()
	return drivertest.Subscribed(t, newDriver(t, at), topic)
}

// within bounds what a connection may take to notice something.
func within(t testing.TB) context.Context {
	t.Helper()
	return drivertest.Within(t, 30*time.Second)
}

// foreign returns a channel of a client that is no driver.
func foreign(t *testing.T, at string) *amqp.Channel {
	t.Helper()
	c, err := amqp.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestConformance(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	h := drivertest.Harness{
		Driver:          func(t testing.TB) driver.Driver { return newDriver(t, server.URL) },
		PublishersApart: true,
	}
	if !server.Lent() {
		proxy := testserver.NewProxy(t, server.Addr)
		h.Driver = func(t testing.TB) driver.Driver { return newDriver(t, proxy.Rewrite(server.URL)) }
		h.Break = func(testing.TB, driver.Driver) { proxy.Cut() }
		h.Restart = func(testing.TB, driver.Driver) { server.Kill(); server.Start() } // it stops slowly
		h.Freeze = func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw }
	}
	drivertest.Run(t, h)
}

// TestConformanceOverTLS: a connection with TLS is closed, and its end is noticed, in another way.
// Here it is the network that is half-open.
func TestConformanceOverTLS(t *testing.T) {
	server := testserver.RabbitMQTLS(t, testserver.NewAuthority(t), "")
	proxy := testserver.NewProxy(t, server.Addr)
	drivertest.Run(t, drivertest.Harness{
		PublishersApart: true,

		Driver:  func(t testing.TB) driver.Driver { return newDriver(t, proxy.Rewrite(server.URL)) },
		Break:   func(testing.TB, driver.Driver) { proxy.Cut() },
		Restart: func(testing.TB, driver.Driver) { server.Kill(); server.Start() },
		Freeze: func(testing.TB, driver.Driver) func() {
			proxy.Stall(true)
			return func() { proxy.Stall(false) }
		},
	})
}

// TestAServerThatDiesIsNotReplacedInSilence although it comes back at once: what was published
// meanwhile would be missed by nobody.
func TestAServerThatDiesIsNotReplacedInSilence(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	server.Own()
	for name, end := range map[string]func(){
		"it is killed":  func() { server.Kill(); server.Start() },
		"it is stopped": server.Restart,
	} {
		t.Run(name, func(t *testing.T) {
			conn := subscribed(t, server.URL, "x")
			end()
			drivertest.WantEnd(within(t), t, conn, server.Addr)
		})
	}
	t.Run("the connection is cut", func(t *testing.T) {
		proxy := testserver.NewProxy(t, server.Addr)
		conn := subscribed(t, proxy.Rewrite(server.URL), "x")
		proxy.Cut()
		drivertest.WantEnd(within(t), t, conn, proxy.Addr)
	})
	t.Run("it is frozen, and nobody asks", func(t *testing.T) {
		conn := subscribed(t, server.URL, "x")
		server.Freeze()
		defer server.Thaw()
		drivertest.WantEnd(within(t), t, conn, server.Addr)
	})
}

// TestAServerThatIsKilledWhilePublishing: what arrives is in order, and no call waits for ever.
func TestAServerThatIsKilledWhilePublishing(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	server.Own()
	sub, pub := subscribed(t, server.URL, "x"), open(t, server.URL)
	const enough = 500
	arrived := make(chan int)
	go func() { // ends with sub
		defer close(arrived)
		for {
			m, err := sub.Receive(t.Context())
			if err != nil {
				return
			}
			n, _ := strconv.Atoi(string(m.Payload)) // a wrong one is out of order
			arrived <- n
		}
	}()
	sent := make(chan int, 1)
	go func() { // ends with pub
		n := 0
		for pub.Publish(t.Context(), "x", strconv.AppendInt(nil, int64(n), 10)) == nil {
			n++
		}
		sent <- n
	}()
	next := 0
	for n := range arrived {
		if n != next {
			t.Fatalf("got %d, want %d", n, next)
		}
		if next++; next == enough {
			server.Kill()
		}
	}
	// What the server had confirmed and not yet sent is lost with it: that is why a hub that has
	// lost its connection reloads.
	if n := <-sent; next < enough || n < enough-1 {
		t.Errorf("%d arrived of %d", next, n)
	}
}

// TestWhatAnOperatorDoesIsTheEndOfAConnection, and afterwards there is another one.
func TestWhatAnOperatorDoesIsTheEndOfAConnection(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	server.Own()
	t.Run("the connection is closed", func(t *testing.T) {
		conn := subscribed(t, server.URL, "x")
		server.Control("close_all_connections", "for a test")
		drivertest.WantEnd(within(t), t, conn, "CONNECTION_FORCED")
	})
	for _, suffix := range []string{"", ".lost"} {
		t.Run("the queue is deleted"+suffix, func(t *testing.T) {
			conn := subscribed(t, server.URL, "x")
			server.Control("delete_queue", queueOf(t, server)+suffix)
			drivertest.WantEnd(within(t), t, conn, "queue was deleted")
		})
	}
	t.Run("its user may not publish any more", func(t *testing.T) {
		server.Control("add_user", "app", "hunter2")
		server.Control("set_permissions", "app", ".*", ".*", ".*")
		conn := subscribed(t, strings.Replace(server.URL, "://", "://app:hunter2@", 1), "x")
		server.Control("set_permissions", "app", ".*", "none", ".*")
		ctx := within(t)
		for conn.Publish(ctx, "x", nil) == nil { // rights are kept for a moment, for each channel
			if ctx.Err() != nil {
				t.Fatal("it may still publish")
			}
		}
		drivertest.WantEnd(within(t), t, conn, "ACCESS_REFUSED")
	})
	t.Run("the memory is used up", func(t *testing.T) {
		conn, idle := subscribed(t, server.URL, "x"), subscribed(t, server.URL, "x")
		server.Control("set_vm_memory_high_watermark", "absolute", "1MB")
		var err error
		for err == nil { // the first ones may still be taken
			err = conn.Publish(within(t), "x", nil)
		}
		if !strings.Contains(err.Error(), "takes no messages") {
			t.Errorf("got %v, want that the broker takes no messages", err)
		}
		drivertest.WantEnd(within(t), t, conn, "takes no messages")
		server.Control("set_vm_memory_high_watermark", "0.6")
		// Who has only listened has missed nothing.
		if err := open(t, server.URL).Publish(within(t), "x", []byte("again")); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := idle.Receive(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Payload) == "again" { // the one before may have arrived, too
				break
			}
		}
	})
}

// queueOf returns the name of the one queue that gets messages.
func queueOf(t *testing.T, server *testserver.Server) string {
	t.Helper()
	for line := range strings.SplitSeq(server.Control("list_queues", "--no-table-headers", "name"), "\n") {
		if name := strings.TrimSpace(line); name != "" && !strings.HasSuffix(name, ".lost") {
			return name
		}
	}
	t.Fatal("there is no queue")
	return ""
}

// TestAReceiverThatIsTooSlowLearnsThatItHasMissedSome: the server keeps no more than a queue holds,
// and this side no more than is ahead. What is published when it has caught up arrives.
func TestAReceiverThatIsTooSlowLearnsThatItHasMissedSome(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	slow, pub := subscribed(t, server.URL, "x"), open(t, server.URL)
	const n, size, most = 6000, 4 << 10, 16<<20/(4<<10) + 512 // of the queue, and on the way
	slots, failed := make(chan struct{}, 200), make(chan error, n)
	for range n {
		slots <- struct{}{}
		go func() { // ends with its call
			failed <- pub.Publish(within(t), "x", make([]byte, size))
			<-slots
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if err := pub.Publish(within(t), "x", []byte("last")); err != nil {
		t.Fatal(err)
	}
	got, gaps := 0, 0
	for {
		m, err := slow.Receive(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Payload) == "last" {
			break
		}
		if m.Gap {
			gaps++
		} else {
			got++
		}
	}
	if gaps == 0 || got > most {
		t.Errorf("got %d messages of %d and %d gaps; want %d at most, and a gap", got, n, gaps, most)
	}
}

// TestRights: a user with the rights that docs/backends.md names can do all, and whoever has less
// is told what is missing.
func TestRights(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	server.Own()
	server.Control("add_user", "app", "hunter2")
	at := strings.Replace(server.URL, "://", "://app:hunter2@", 1)
	const all = `^lockstep(\.|$)`
	for _, c := range []struct{ name, configure, write, read, says string }{
		{"none to begin with", "", "", "", "NOT_ALLOWED"},
		{"not to make the exchange", `^lockstep\.`, all, all, "access to exchange 'lockstep'"},
		{"all", all, all, all, ""},
		{"the exchange is there", `^lockstep\.`, all, all, ""},
		{"not to make a queue", "none", all, all, "access to queue 'lockstep."},
		{"not to bind a queue", all, "^lockstep$", all, "access to queue 'lockstep."},
		{"not to read the exchange", all, all, `^lockstep\.`, "access to exchange 'lockstep'"},
		{"not to read the queue", all, all, "^lockstep$", "access to queue 'lockstep."},
		{"not to publish", all, `^lockstep\.`, all, "access to exchange 'lockstep'"},
		{"not to use what is another's", all, all, all, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.configure != "" {
				server.Control("set_permissions", "app", c.configure, c.write, c.read)
			}
			err := roundTrip(t, at)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

// roundTrip has a message go to a server and back.
func roundTrip(t *testing.T, at string) error {
	t.Helper()
	c, err := newDriver(t, at).Open(t.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Subscribe(within(t), "x"); err != nil {
		return err
	}
	if err := c.Publish(within(t), "x", []byte("hello")); err != nil {
		return err
	}
	m, err := c.Receive(within(t))
	if err == nil && string(m.Payload) != "hello" {
		err = fmt.Errorf("got %+v", m)
	}
	return err
}

// TestOthersOnTheBroker can't make a connection hold much, nor end it.
func TestOthersOnTheBroker(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	conn, other := subscribed(t, server.URL, "x"), foreign(t, server.URL)
	t.Run("a large message is a gap, and another program's is delivered", func(t *testing.T) {
		for _, size := range []int{64<<10 + 1, 20 << 20, 3} {
			if err := other.Publish("lockstep", "x", false, false, amqp.Publishing{Body: make([]byte, size)}); err != nil {
				t.Fatal(err)
			}
			m, err := conn.Receive(within(t))
			if err != nil || m.Topic != "x" || m.Gap != (size > 3) || m.Gap && m.Payload != nil || !m.Gap && len(m.Payload) != size {
				t.Errorf("%d bytes: got %d on %q (gap %t), %v", size, len(m.Payload), m.Topic, m.Gap, err)
			}
		}
	})
	t.Run("a topic can't be told from a dropped message", func(t *testing.T) {
		topic := "%!" + "lockstep.x"
		if err := conn.Subscribe(within(t), topic); err != nil {
			t.Fatal(err)
		}
		if err := other.Publish("lockstep", topic, false, false, amqp.Publishing{}); err != nil {
			t.Fatal(err)
		}
		if err := conn.Publish(within(t), topic, []byte("ours")); err != nil {
			t.Fatal(err)
		}
		if m, err := conn.Receive(within(t)); err != nil || m.Topic != topic || string(m.Payload) != "ours" {
			t.Errorf("got %+v, %v", m, err)
		}
	})
	t.Run("a queue that refuses is an error of that call only", func(t *testing.T) {
		q, err := other.QueueDeclare("", false, true, true, false, amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
		if err == nil {
			err = other.QueueBind(q.Name, "full", "lockstep", false, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Publish(within(t), "full", nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := conn.Publish(within(t), "full", nil); err == nil || !strings.Contains(err.Error(), "could not take") {
				t.Errorf("got %v, want that it was refused", err)
			}
		}
		if err := conn.Publish(within(t), "x", nil); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsLeftAtTheServer but the exchange.
func TestNothingIsLeftAtTheServer(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	server.Own()
	at := server.URL + "/%2F"
	for range 3 {
		if err := roundTrip(t, at); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t)
	for ctx.Err() == nil { // it deletes them beside
		if got := strings.TrimSpace(server.Control("list_queues", "--no-table-headers", "name")); got == "" {
			return
		}
	}
	t.Error("there are still queues")
}

func TestAServerThatCanNotBeUsedSaysWhy(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for name, c := range map[string]struct{ url, says string }{
		"a wrong password":            {strings.Replace(server.URL, "://", "://guest:hunter2@", 1), "the password is wrong"},
		"a virtual host that is none": {server.URL + "/none", "vhost"},
		"nobody listens":              {"amqp://u:hunter2@127.0.0.1:1", "connection refused"},
		"none of them does":           {"amqp://u:hunter2@127.0.0.1:1,127.0.0.1:2", "127.0.0.1:2: dial"},
		"it is deaf":                  {"amqp://u:hunter2@" + deaf.Addr().String(), "i/o timeout"},
		"it has no TLS":               {strings.Replace(server.URL, "amqp://", "amqps://u:hunter2@", 1), "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := newDriver(t, c.url).Open(within(t))
			if err == nil {
				_ = conn.Close()
				t.Fatal("it can be used")
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q, and no password", err, c.says)
			}
		})
	}
	t.Run("the first that answers is taken", func(t *testing.T) {
		for range 4 { // their order is by chance
			if err := open(t, "amqp://127.0.0.1:1,"+server.Addr+"/").Publish(t.Context(), "x", nil); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("two exchanges are apart", func(t *testing.T) {
		d, err := rabbitpubsub.NewDriver(server.URL, &rabbitpubsub.Options{Exchange: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		shop, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer shop.Close()
		if err := shop.Subscribe(within(t), "x"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(open(t, server.URL).Publish(within(t), "x", []byte("not here")), shop.Publish(within(t), "x", []byte("here"))); err != nil {
			t.Fatal(err)
		}
		if m, err := shop.Receive(within(t)); err != nil || string(m.Payload) != "here" {
			t.Errorf("got %+v, %v", m, err)
		}
	})
}

func TestTLSIsCheckedAsForOtherServers(t *testing.T) {
	ca := testserver.NewAuthority(t)
	server := testserver.RabbitMQTLS(t, ca, "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true")
	cert, key := ca.Issue(time.Now().Add(time.Hour), "app")
	ours := "&sslcert=" + cert + "&sslkey=" + key
	bare, _, _ := strings.Cut(server.URL, "?")
	for name, c := range map[string]struct{ url, says string }{
		"the authority is known":      {server.URL + ours, ""},
		"anybody is good enough":      {bare + "?sslmode=require" + ours, ""},
		"the name may be another":     {server.URL + "&sslmode=verify-ca" + ours, ""},
		"the authority is another":    {bare + "?sslrootcert=" + testserver.NewAuthority(t).File + ours, "certificate"},
		"the name is another":         {strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + ours, "localhost"},
		"the system does not know it": {bare + "?" + ours[1:], "certificate"},
		"we have no certificate":      {server.URL, server.Addr},
		"we speak no TLS":             {strings.Replace(bare, "amqps://", "amqp://", 1), server.Addr},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := newDriver(t, c.url).Open(within(t))
			if err == nil {
				err = conn.Close()
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

func TestAURLThatIsWrongIsNotShown(t *testing.T) {
	for name, c := range map[string]struct{ url, says string }{
		"another scheme":                       {"http://u:hunter2@x", "not a valid RabbitMQ URL"},
		"no server":                            {"amqp://u:hunter2@", "not a valid RabbitMQ URL"},
		"an empty server":                      {"amqp://u:hunter2@a,,b", "not a valid RabbitMQ URL"},
		"a bad escape":                         {"amqp://u:hunter2%2@x", "not a valid RabbitMQ URL"},
		"a bad port":                           {"amqp://u:hunter2@x:hunter2", "not a valid RabbitMQ URL"},
		"a password with a slash":              {"amqp://u:1/hunter2@x", "not a valid RabbitMQ URL"},
		"a virtual host of two parts":          {"amqp://u:hunter2@x/a/b", "not a valid RabbitMQ URL"},
		"a virtual host that is escaped badly": {"amqp://u:hunter2@x/%2", "not a valid RabbitMQ URL"},
		"a fragment":                           {"amqp://u:hunter2@x/a#b", "not a valid RabbitMQ URL"},
		"two URLs":                             {"amqp://u:hunter2@x,amqp://y", "not a valid RabbitMQ URL"},
		"an option that is none":               {"amqp://u:hunter2@x?heartbeat=1", "not a valid RabbitMQ URL"},
		"options that can't be read":           {"amqp://u:hunter2@x?a=%zz", "not a valid RabbitMQ URL"},
		"files without TLS":                    {"amqp://u:hunter2@x?sslrootcert=y", "amqps://"},
		"an authority that is not there":       {"amqps://u:hunter2@x?sslrootcert=/nowhere", "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rabbitpubsub.NewDriver(c.url, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q, and no secret", err, c.says)
			}
		})
	}
	for _, exchange := range []string{"amq.direct", strings.Repeat("x", 201)} {
		if _, err := rabbitpubsub.NewDriver("amqp://x", &rabbitpubsub.Options{Exchange: exchange}); err == nil {
			t.Errorf("it takes the exchange %s", exchange)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.RabbitMQ(b, "").URL))
}
