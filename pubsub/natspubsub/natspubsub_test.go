package natspubsub_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/natspubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, at string) driver.Driver {
	t.Helper()
	d, err := natspubsub.NewDriver(at)
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
	return drivertest.Within(t, 10*time.Second)
}

func TestConformance(t *testing.T) {
	server := testserver.NATS(t, "")
	h := drivertest.Harness{PublishersApart: true, Driver: func(t testing.TB) driver.Driver { return newDriver(t, server.URL) }}
	if !server.Lent() {
		proxy := testserver.NewProxy(t, server.Addr)
		h.Driver = func(t testing.TB) driver.Driver { return newDriver(t, proxy.Rewrite(server.URL)) }
		h.Break = func(testing.TB, driver.Driver) { proxy.Cut() }
		h.Restart = func(testing.TB, driver.Driver) { server.Restart() }
		h.Freeze = func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw }
	}
	drivertest.Run(t, h)
}

// TestConformanceOverTLS: a connection with TLS is closed, and its end is
// noticed, in another way. Here it is the network that is half-open.
func TestConformanceOverTLS(t *testing.T) {
	server := testserver.NATSTLS(t, testserver.NewAuthority(t), "")
	proxy := testserver.NewProxy(t, server.Addr)
	drivertest.Run(t, drivertest.Harness{
		PublishersApart: true,
		Driver:          func(t testing.TB) driver.Driver { return newDriver(t, proxy.Rewrite(server.URL)) },
		Break:           func(testing.TB, driver.Driver) { proxy.Cut() },
		Restart:         func(testing.TB, driver.Driver) { server.Restart() },
		Freeze: func(testing.TB, driver.Driver) func() {
			proxy.Stall(true)
			return func() { proxy.Stall(false) }
		},
	})
}

func TestAServerThatDiesOrIsAboutToIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*testserver.Server)
		says string
	}{
		"it is killed":            {(*testserver.Server).Kill, ""},
		"it is stopped":           {(*testserver.Server).Stop, ""},
		"it is in lame duck mode": {(*testserver.Server).LameDuck, "lame duck"},
	} {
		t.Run(name, func(t *testing.T) {
			server := testserver.NATS(t, "")
			server.Own()
			conn := subscribed(t, server.URL, "x")
			c.end(server)
			drivertest.WantEnd(within(t), t, conn, c.says)
		})
	}
}

// TestALostConnectionIsNotReplacedInSilence although the server is there, and
// nats.go knows how: what was published meanwhile would be missed by nobody.
func TestALostConnectionIsNotReplacedInSilence(t *testing.T) {
	server := testserver.NATS(t, "")
	server.Own()
	proxy := testserver.NewProxy(t, server.Addr)
	conn := subscribed(t, proxy.Rewrite(server.URL), "x")
	proxy.Cut()
	drivertest.WantEnd(within(t), t, conn, proxy.Addr)
}

// TestAServerThatIsKilledWhilePublishing: what arrives is in order, and no call
// waits for ever.
func TestAServerThatIsKilledWhilePublishing(t *testing.T) {
	server := testserver.NATS(t, "")
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
	// What the server had taken and not yet sent is lost with it: that is why a
	// hub that has lost its connection reloads. So is the confirmation of the last that arrived.
	if n := <-sent; next < enough || n < enough-1 {
		t.Errorf("%d arrived of %d", next, n)
	}
}

// TestAReceiverThatIsTooSlowLearnsThatItWasCut: the server drops what waits for
// it, and the connection. What this side holds is bounded.
func TestAReceiverThatIsTooSlowLearnsThatItWasCut(t *testing.T) {
	server := testserver.NATS(t, "max_pending: 2MB\nwrite_deadline: \"500ms\"")
	slow, pub := subscribed(t, server.URL, "x"), open(t, server.URL)
	const n, size = 200, 512 << 10
	for range n { // more than the limits of both, and all buffers of the system
		if err := pub.Publish(within(t), "x", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t)
	for got := range n {
		if m, err := slow.Receive(ctx); err != nil {
			if ctx.Err() != nil || !strings.Contains(err.Error(), server.Addr) {
				t.Errorf("got %v, want an error that names %s", err, server.Addr)
			}
			if got*size > 32<<20 {
				t.Errorf("it held %d messages", got)
			}
			return
		} else if m.Gap {
			return
		}
	}
	t.Error("it was not cut, and no gap is shown")
}

// TestManySmallMessagesWaitForASlowReceiver: nats.go would drop those for which
// its channel has no room.
func TestManySmallMessagesWaitForASlowReceiver(t *testing.T) {
	server := testserver.NATS(t, "")
	slow, pub := subscribed(t, server.URL, "x"), open(t, server.URL)
	const n, each = 20_000, 200
	for i := 0; i < n; i += each {
		done := make(chan error, each)
		for range each {
			go func() { done <- pub.Publish(within(t), "x", nil) }() // ends with it
		}
		for range each {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range n {
		if _, err := slow.Receive(within(t)); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

const rights = `
authorization { users [
	{ user: all, password: p, permissions: { publish: ">", subscribe: ">" } }
	{ user: some, password: hunter2, permissions: { publish: "shop.>", subscribe: "shop.>" } }
	{ user: none, password: hunter2, permissions: { publish: { deny: ">" }, subscribe: { deny: ">" } } }
] }`

func as(server *testserver.Server, user string) string {
	return strings.Replace(server.URL, "://", "://"+user+"@", 1)
}

// TestARefusedTopicIsAnErrorOfThatCallOnly: rights of NATS are by subjects, and
// what begins a topic, up to a colon, is a token of one.
func TestARefusedTopicIsAnErrorOfThatCallOnly(t *testing.T) {
	server := testserver.NATS(t, rights)
	conn := subscribed(t, as(server, "some:hunter2"), "shop:1")
	for range 2 { // the server says the same words again
		if err := conn.Subscribe(t.Context(), `other:"1"`); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("Subscribe: got %v, want a violation", err)
		}
		if err := conn.Publish(t.Context(), `other:é "1`, nil); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("Publish: got %v, want a violation", err)
		}
	}
	// At once: some of them in the same round trip.
	errs := make(chan error, 60)
	for i := range cap(errs) {
		go func() { // ends with its call
			topic, bad := "shop:"+strconv.Itoa(i), i%3 == 0
			if bad {
				topic = "other:" + strconv.Itoa(i)
			}
			err := conn.Subscribe(within(t), topic)
			if i%2 == 0 {
				err = conn.Publish(within(t), topic, nil)
			}
			if errors.Is(err, nats.ErrPermissionViolation) != bad {
				errs <- errors.New(topic + ": got the wrong answer")
				return
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := conn.Publish(t.Context(), "shop:1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := conn.Receive(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Topic == "shop:1" && string(m.Payload) == "x" {
			return
		}
	}
}

// TestAUserWithoutRightsHasAConnection on which every call is refused.
func TestAUserWithoutRightsHasAConnection(t *testing.T) {
	conn := open(t, as(testserver.NATS(t, rights), "none:hunter2"))
	for range 2 {
		if err := conn.Subscribe(t.Context(), "x"); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("Subscribe: got %v", err)
		}
		if err := conn.Publish(t.Context(), "x", nil); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("Publish: got %v", err)
		}
		if err := conn.Unsubscribe(t.Context(), "x"); err != nil {
			t.Errorf("Unsubscribe: got %v", err)
		}
	}
}

// TestARightThatIsTakenAwayIsTheEnd: the server drops the subscription, and
// nobody would know that nothing comes any more.
func TestARightThatIsTakenAwayIsTheEnd(t *testing.T) {
	server := testserver.NATS(t, rights)
	conn := subscribed(t, as(server, "all:p"), "x")
	server.Reload(strings.Replace(rights, `subscribe: ">"`, `subscribe: "other"`, 1))
	drivertest.WantEnd(within(t), t, conn, "")
}

func TestWhoWeAre(t *testing.T) {
	user := newKey(t, nkeys.CreateUser)
	seed := writeFile(t, string(user.seed))
	operator, creds := jwts(t, user)
	for name, c := range map[string]struct{ config, before, after, wrong string }{
		"a password": {fmt.Sprintf("authorization { user: u, password: %q }", testserver.Password),
			url.UserPassword("u", testserver.Password).String() + "@", "", "u:hunter2@"},
		"a token": {`authorization { token: "s3cr/t" }`, "s3cr%2Ft@", "", "hunter2@"},
		"an nkey": {"authorization { users [ { nkey: " + user.public + " } ] }", "", "?nkey=" + seed, ""},
		"creds":   {operator, "", "?creds=" + creds, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := testserver.NATS(t, c.config)
			open(t, strings.Replace(server.URL, "://", "://"+c.before, 1)+c.after)
			_, err := newDriver(t, strings.Replace(server.URL, "://", "://"+c.wrong, 1)).Open(t.Context())
			if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want that it was refused, and no secret", err)
			}
		})
	}
}

// TestAKeyCanBeReplaced without a new driver.
func TestAKeyCanBeReplaced(t *testing.T) {
	before, after := newKey(t, nkeys.CreateUser), newKey(t, nkeys.CreateUser)
	file := writeFile(t, string(before.seed))
	server := testserver.NATS(t, "authorization { users [ { nkey: "+after.public+" } ] }")
	d := newDriver(t, server.URL+"?nkey="+file)
	if _, err := d.Open(t.Context()); !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(file, after.seed, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A key is an NKey.
type key struct {
	nkeys.KeyPair
	public string
	seed   []byte
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) key {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return key{pair, public, seed}
}

// jwts returns the configuration of a server that knows an operator and its
// account, and a file with what a user of that has.
func jwts(t *testing.T, user key) (config, creds string) {
	t.Helper()
	operator, account := newKey(t, nkeys.CreateOperator), newKey(t, nkeys.CreateAccount)
	config = fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload { %s: %s }\n",
		jwt(t, operator, operator, `"type":"operator"`), account.public,
		jwt(t, operator, account, `"type":"account","limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1}`))
	text := fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
		jwt(t, account, user, `"type":"user","subs":-1,"data":-1,"payload":-1`), user.seed)
	return config, writeFile(t, text)
}

// jwt returns what one says of another, as "nsc" makes it.
func jwt(t *testing.T, by, of key, says string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"jti":"1","iat":%d,"iss":%q,"name":"x","sub":%q,"nats":{%s,"version":2}}`, time.Now().Unix(), by.public, of.public, says)
	text := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode([]byte(claims))
	signature, err := by.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func writeFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTLSIsCheckedAsForOtherServers(t *testing.T) {
	ca := testserver.NewAuthority(t)
	server := testserver.NATSTLS(t, ca, "")
	bare, _, _ := strings.Cut(server.URL, "?")
	for name, c := range map[string]struct{ url, says string }{
		"the authority is known":        {server.URL, ""},
		"anybody is good enough":        {bare + "?sslmode=require", ""},
		"the name may be another":       {server.URL + "&sslmode=verify-ca", ""},
		"the authority is another":      {bare + "?sslrootcert=" + testserver.NewAuthority(t).File, "certificate"},
		"the system does not know it":   {bare, "certificate"},
		"without tls:// it is the same": {strings.Replace(bare, "tls://", "nats://", 1), "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := newDriver(t, c.url).Open(t.Context())
			if err == nil {
				err = conn.Close()
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	t.Run("a server without TLS gets no password", func(t *testing.T) {
		plain := testserver.NATS(t, "authorization { user: u, password: p }")
		if _, err := newDriver(t, strings.Replace(plain.URL, "nats://", "tls://u:p@", 1)).Open(t.Context()); !errors.Is(err, nats.ErrSecureConnWanted) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server that wants a certificate of ours", func(t *testing.T) {
		server := testserver.NATSTLS(t, ca, "verify: true")
		cert, key := ca.Issue(time.Now().Add(time.Hour), "app")
		open(t, server.URL+"&sslcert="+cert+"&sslkey="+key)
		if c, err := newDriver(t, server.URL).Open(t.Context()); err == nil {
			t.Error("it takes everybody")
			_ = c.Close()
		}
	})
}

func TestTheFirstServerThatAnswersIsTaken(t *testing.T) {
	server := testserver.NATS(t, "")
	server.Own()
	for range 4 { // their order is by chance
		if err := open(t, "nats://127.0.0.1:1,"+server.Addr+"/").Publish(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAClusterGoesOnWithTheServerThatIsLeft, and until then messages pass from
// one to the other.
func TestAClusterGoesOnWithTheServerThatIsLeft(t *testing.T) {
	route := strconv.Itoa(testserver.FreePort(t))
	cluster := func(listen, routes string) *testserver.Server {
		return testserver.NATS(t, `cluster { name: c, listen: "127.0.0.1:`+listen+`", routes: [`+routes+`] }`)
	}
	first := cluster(route, "")
	second := cluster(strconv.Itoa(testserver.FreePort(t)), `"nats://127.0.0.1:`+route+`"`)
	sub, pub := subscribed(t, first.URL, "x"), open(t, second.URL)
	again := time.NewTicker(10 * time.Millisecond) // the servers may not have met yet
	defer again.Stop()
	arrived := make(chan error, 1)
	go func() { // ends with sub
		_, err := sub.Receive(t.Context())
		arrived <- err
	}()
	for met := false; !met; {
		select {
		case err := <-arrived:
			if err != nil {
				t.Fatal(err)
			}
			met = true
		case <-again.C:
			if err := pub.Publish(within(t), "x", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	first.Kill()
	drivertest.WantEnd(within(t), t, sub, "")
	for range 4 { // their order is by chance
		anew := subscribed(t, "nats://"+first.Addr+","+second.Addr, "y")
		if err := pub.Publish(t.Context(), "y", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if m, err := anew.Receive(within(t)); err != nil || string(m.Payload) != "x" {
			t.Fatalf("got %+v, %v", m, err)
		}
	}
}

func TestAServerThatIsNotThereIsSaidSo(t *testing.T) {
	for _, at := range []string{"nats://u:hunter2@127.0.0.1:1", "tls://hunter2@127.0.0.1:1", "nats://u:hunter2@127.0.0.1:1,127.0.0.1:2"} {
		_, err := newDriver(t, at).Open(t.Context())
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want that the connection was refused, and no secret", at, err)
		}
	}
}

func TestAServerThatDoesNotFitIsRefused(t *testing.T) {
	for config, says := range map[string]string{"max_payload: 4000": "max_payload", "no_header_support: true": "headers"} {
		if _, err := newDriver(t, testserver.NATS(t, config).URL).Open(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", config, err)
		}
	}
}

// TestWhatTheServerDoesNotCarryIsAGap by its own limit, to the byte.
func TestWhatTheServerDoesNotCarryIsAGap(t *testing.T) {
	conn := subscribed(t, testserver.NATS(t, "max_payload: 5000").URL, "x")
	for size, gap := range map[int]bool{5000: false, 5001: true, 1 << 20: true} {
		if err := conn.Publish(t.Context(), "x", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		m, err := conn.Receive(within(t))
		if err != nil || m.Gap != gap || m.Topic != "x" || (m.Payload == nil) != gap {
			t.Errorf("%d bytes: got %d, gap %t, %v", size, len(m.Payload), m.Gap, err)
		}
	}
}

// TestAMessageOfSomebodyElseDoesNoHarm, whatever its headers.
func TestAMessageOfSomebodyElseDoesNoHarm(t *testing.T) {
	server := testserver.NATS(t, "")
	server.Own() // or anybody may be there
	conn := subscribed(t, server.URL, "lockstep:x")
	other, err := nats.Connect(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	m := nats.NewMsg("lockstep.x")
	m.Header.Set("Any", "thing")
	m.Data = []byte("hello")
	if err := errors.Join(other.PublishMsg(m), other.Flush()); err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	const broken = "NATS/9.9 bad\r\n"
	if _, err := fmt.Fprintf(raw, "CONNECT {\"headers\":true}\r\nHPUB lockstep.x %d %d\r\n%shello\r\n", len(broken), len(broken+"hello"), broken); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if m, err := conn.Receive(within(t)); err != nil || m.Topic != "lockstep:x" || string(m.Payload) != "hello" {
			t.Errorf("got %+v, %v", m, err)
		}
	}
	if err := conn.Publish(t.Context(), "lockstep:x", nil); err != nil {
		t.Error(err)
	}
}

func TestAURLThatIsWrongIsNotShown(t *testing.T) {
	for name, c := range map[string]struct{ url, says string }{
		"another scheme":                 {"http://u:hunter2@x", "not a valid NATS URL"},
		"no server":                      {"nats://u:hunter2@", "not a valid NATS URL"},
		"an empty server":                {"nats://u:hunter2@a,,b", "not a valid NATS URL"},
		"a bad escape":                   {"nats://u:hunter2%2@x", "not a valid NATS URL"},
		"a bad port":                     {"nats://u:hunter2@x:hunter2", "not a valid NATS URL"},
		"a password with a slash":        {"nats://u:1/hunter2@x", "not a valid NATS URL"},
		"a path":                         {"nats://u:hunter2@x/hunter2", "not a valid NATS URL"},
		"two URLs":                       {"nats://u:hunter2@x,nats://y", "not a valid NATS URL"},
		"an option that is none":         {"nats://u:hunter2@x?hunter2=1", "not a valid NATS URL"},
		"options that can't be read":     {"nats://u:hunter2@x?a=%zz", "not a valid NATS URL"},
		"files without TLS":              {"nats://u:hunter2@x?sslrootcert=y", "tls://"},
		"an authority that is not there": {"tls://u:hunter2@x?sslrootcert=/nowhere", "/nowhere"},
		"two ways to say who we are":     {"nats://hunter2@x?creds=y", "more than one"},
		"creds that are not there":       {"nats://x?creds=/nowhere", "/nowhere"},
		"creds that are none":            {"nats://x?creds=natspubsub_test.go", "creds"},
		"a seed that is not there":       {"nats://x?nkey=/nowhere", "/nowhere"},
		"a seed that is none":            {"nats://x?nkey=natspubsub_test.go", "no seed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := natspubsub.NewDriver(c.url)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q, and no secret", err, c.says)
			}
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.NATS(b, "").URL))
}
