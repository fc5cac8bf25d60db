package snssqspubsub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/snssqspubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, at string, opts *snssqspubsub.Options) driver.Driver {
	t.Helper()
	d, err := snssqspubsub.NewDriver(at, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// open returns a connection that ends with the test.
func open(t testing.TB, at string, opts *snssqspubsub.Options) driver.Conn {
	t.Helper()
	return drivertest.Open(t, newDriver(t, at, opts))
}

// subscribed is open, with a subscription.
func subscribed(t testing.TB, at, topic string, opts *snssqspubsub.Options) driver.Conn {
	t.Helper()
	return drivertest.Subscribed(t, newDriver(t, at, opts), topic)
}

// within bounds what is waited for.
func within(t testing.TB) context.Context {
	t.Helper()
	return drivertest.Within(t, time.Minute)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx := within(t)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}

// ends wants the end of a connection, why, and no secret.
func ends(t *testing.T, c driver.Conn, says string) {
	t.Helper()
	drivertest.WantEnd(within(t), t, c, says)
	if _, err := c.Receive(t.Context()); strings.Contains(err.Error(), "hunter") {
		t.Fatalf("got %v, want no secret", err)
	}
}

// arrives wants a message to come from one connection to another.
func arrives(t *testing.T, from, to driver.Conn, topic, payload string) {
	t.Helper()
	if err := from.Publish(within(t), topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
	m, err := to.Receive(within(t))
	if err != nil || m.Topic != topic || string(m.Payload) != payload {
		t.Fatalf("got %+v, %v, want %q on %q", m, err, payload, topic)
	}
}

// harness declares what AWS does not promise.
func harness(at string) drivertest.Harness {
	return drivertest.Harness{
		Driver:    func(t testing.TB) driver.Driver { return newDriver(t, at, nil) },
		Unordered: true, Duplicates: true,
	}
}

// TestConformance runs against what TEST_SNSSQS_URL names, or else goaws.
func TestConformance(t *testing.T) {
	cloud := testserver.Goaws(t)
	if cloud.Lent() {
		drivertest.Run(t, harness(cloud.URL))
		return
	}
	proxy := testserver.NewProxy(t, cloud.Front)
	h := harness(cloud.At(proxy.Addr))
	h.Break = func(testing.TB, driver.Driver) { proxy.Cut() }
	h.Restart = func(testing.TB, driver.Driver) { cloud.Restart() }
	h.Freeze = func(testing.TB, driver.Driver) func() { cloud.Freeze(); return cloud.Thaw }
	drivertest.Run(t, h)
}

// TestConformanceWhileMessagesComeLateTwiceAndInNoOrder, and requests are refused now and
// then.
func TestConformanceWhileMessagesComeLateTwiceAndInNoOrder(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	cloud.Hostile(true)
	drivertest.Run(t, harness(cloud.URL))
}

// TestConformanceOverTLS: here it is the network that is half-open.
func TestConformanceOverTLS(t *testing.T) {
	cloud := testserver.GoawsTLS(t, testserver.NewAuthority(t))
	proxy := testserver.NewProxy(t, cloud.Front)
	h := harness(cloud.At(proxy.Addr))
	h.Break = func(testing.TB, driver.Driver) { proxy.Cut() }
	h.Freeze = func(testing.TB, driver.Driver) func() {
		proxy.Stall(true)
		return func() { proxy.Stall(false) }
	}
	drivertest.Run(t, h)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	a, b := open(t, cloud.URL, nil), open(t, cloud.URL, nil)
	if q, s := cloud.Queues(), cloud.Subscriptions(); len(q) != 2 || len(s) != 2 {
		t.Fatalf("got queues %q and subscriptions %q, want two of each", q, s)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if q, s := cloud.Queues(), cloud.Subscriptions(); len(q) > 0 || len(s) > 0 {
		t.Errorf("got queues %q and subscriptions %q, want none", q, s)
	}
}

// TestAnOpenThatFailsLeavesNothingBehind, at whichever step, and says which right is
// missing.
func TestAnOpenThatFailsLeavesNothingBehind(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	for _, action := range []string{"CreateTopic", "CreateQueue", "Subscribe", "ListQueues", "ListSubscriptionsByTopic", "PublishBatch", "ReceiveMessage"} {
		for code, says := range map[string]string{"AccessDenied": "no right", "ExpiredToken": "have expired", "InvalidClientTokenId": "does not know the credentials"} {
			cloud.Fail(action, -1, http.StatusForbidden, code)
			_, err := newDriver(t, cloud.URL, nil).Open(within(t))
			cloud.Fail(action, 0, 0, "")
			name := strings.TrimSuffix(action, "Batch")
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("%s: got %v, want %q", action, err, says)
			}
			if q, s := cloud.Queues(), cloud.Subscriptions(); len(q) > 0 || len(s) > 0 {
				t.Errorf("%s: got queues %q and subscriptions %q, want none", action, q, s)
			}
		}
	}
}

// TestAConnectionNeedsNoSweep: that others can't be listed now is no reason to have none.
func TestAConnectionNeedsNoSweep(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	cloud.Fail("ListSubscriptionsByTopic", -1, http.StatusBadRequest, "Throttling")
	cloud.Fail("ListQueues", -1, http.StatusInternalServerError, "InternalError")
	conn := subscribed(t, cloud.URL, "x", nil)
	arrives(t, conn, conn, "x", "y")
}

// TestOnlyTheTopicMaySendToAQueue: goaws knows no policies, so what it is asked for is read.
func TestOnlyTheTopicMaySendToAQueue(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	open(t, cloud.URL, nil)
	var asked struct{ Attributes map[string]string }
	if err := json.Unmarshal([]byte(cloud.Body("CreateQueue")), &asked); err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Effect, Action, Resource string
			Principal                map[string]string
			Condition                map[string]map[string]string
		}
	}
	if err := json.Unmarshal([]byte(asked.Attributes["Policy"]), &policy); err != nil {
		t.Fatal(err)
	}
	if len(policy.Statement) != 1 {
		t.Fatalf("got %d statements, want one", len(policy.Statement))
	}
	s := policy.Statement[0]
	if s.Effect != "Allow" || s.Action != "sqs:SendMessage" || s.Resource != "arn:aws:sqs::123456789012:"+cloud.Queues()[0] ||
		s.Principal["Service"] != "sns.amazonaws.com" || s.Condition["ArnEquals"]["aws:SourceArn"] != "arn:aws:sns::123456789012:lockstep" {
		t.Errorf("got %+v", s)
	}
	if asked.Attributes["MessageRetentionPeriod"] != "60" {
		t.Errorf("messages stay %q seconds", asked.Attributes["MessageRetentionPeriod"])
	}
}

func TestWhatEndsAConnectionIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*testserver.Cloud)
		says string
	}{
		"its queue is deleted":          {func(c *testserver.Cloud) { c.DeleteQueue(c.Queues()[0]) }, "somebody has deleted it"},
		"a right is taken away":         {refused(http.StatusForbidden, "AccessDenied"), "the credentials have no right to it (AccessDenied"},
		"the credentials have expired":  {refused(http.StatusForbidden, "ExpiredToken"), "the credentials have expired"},
		"there are too many requests":   {refused(http.StatusBadRequest, "ThrottlingException"), "AWS takes no more requests for now"},
		"something is wrong inside AWS": {refused(http.StatusInternalServerError, "InternalError"), "ReceiveMessage"},
		"goaws is killed":               {func(c *testserver.Cloud) { c.Kill() }, "ReceiveMessage"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := testserver.Goaws(t)
			cloud.Own()
			conn := subscribed(t, cloud.URL, "x", nil)
			c.do(cloud)
			ends(t, conn, c.says)
		})
	}
}

// refused has requests for messages refused from now on. Those that wait get an answer
// first.
func refused(status int, code string) func(*testserver.Cloud) {
	return func(c *testserver.Cloud) {
		c.Fail("ReceiveMessage", -1, status, code)
		c.Do("Publish", "TopicArn", "arn:aws:sns::123456789012:lockstep", "Message", "wakes them up")
	}
}

// TestAnErrorOfPublishIsThatCallsAlone, unless there is no topic any more.
func TestAnErrorOfPublishIsThatCallsAlone(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	conn := subscribed(t, cloud.URL, "x", nil)
	for code, says := range map[string]string{"ExpiredToken": "have expired", "AuthorizationError": "no right", "InternalError": "InternalError", "Throttling": "no more requests"} {
		cloud.Fail("PublishBatch", -1, http.StatusBadRequest, code)
		if err := conn.Publish(within(t), "x", nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", code, err, says)
		}
		cloud.Fail("PublishBatch", 0, 0, "")
		arrives(t, conn, conn, "x", code)
	}
	cloud.Do("DeleteTopic", "TopicArn", "arn:aws:sns::123456789012:lockstep")
	if err := conn.Publish(within(t), "x", nil); err == nil || !strings.Contains(err.Error(), "somebody has deleted it") {
		t.Errorf("got %v, want that the topic is gone", err)
	}
	ends(t, conn, "somebody has deleted it")
}

// TestWhatIsRefusedForAMomentIsAskedAgain, but nothing else is: the answer to a request for
// messages that is lost has taken them out of the queue.
func TestWhatIsRefusedForAMomentIsAskedAgain(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	conn := subscribed(t, cloud.URL, "x", nil)
	for _, action := range []string{"PublishBatch", "ReceiveMessage"} {
		cloud.Fail(action, 2, http.StatusBadRequest, "ThrottlingException")
		arrives(t, conn, conn, "x", action)
	}
	before := cloud.Asked("PublishBatch")
	cloud.Fail("PublishBatch", -1, http.StatusInternalServerError, "InternalError")
	if err := conn.Publish(within(t), "x", nil); err == nil {
		t.Error("got no error")
	}
	if n := cloud.Asked("PublishBatch") - before; n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// TestASubscriptionThatIsRemovedIsNoticed by a connection that no hub watches.
func TestASubscriptionThatIsRemovedIsNoticed(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	conn := subscribed(t, cloud.URL, "x", &snssqspubsub.Options{SignEvery: 200 * time.Millisecond})
	cloud.Do("Unsubscribe", "SubscriptionArn", cloud.Subscriptions()[0])
	ends(t, conn, "somebody has removed the subscription")
}

// TestQueuesOfDeadReplicasAreRemovedAndNoOthers: neither of those that live, nor of
// others whose names begin in the same way.
func TestQueuesOfDeadReplicasAreRemovedAndNoOthers(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	opts := &snssqspubsub.Options{SignEvery: time.Second}
	proxy := testserver.NewProxy(t, cloud.Front)
	dead := open(t, cloud.At(proxy.Addr), opts)
	strays := cloud.Queues()
	proxy.Refuse(true) // it can't remove it any more
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	// One whose queue is gone, and one that has no subscription.
	gone, bare := "lockstep-replica-"+strings.Repeat("A", 26), "lockstep-replica-"+strings.Repeat("B", 26)
	const topic = "arn:aws:sns::123456789012:lockstep"
	cloud.Do("Subscribe", "TopicArn", topic, "Protocol", "sqs", "Endpoint", "arn:aws:sqs::123456789012:"+gone)
	cloud.Do("CreateQueue", "QueueName", bare)
	strays = append(strays, bare)
	others := []string{"lockstep-replica-mine", "lockstep-replica-MINE", "lockstep-replica-x-replica-" + strings.Repeat("C", 26), "lockstep-other", "lockstep-replica-" + strings.Repeat("c", 26)}
	for _, other := range others {
		cloud.Do("CreateQueue", "QueueName", other)
	}
	one, two := subscribed(t, cloud.URL, "x", opts), subscribed(t, cloud.URL, "x", opts)
	for _, stray := range strays {
		eventually(t, stray+" is removed", func() bool { return !slices.Contains(cloud.Queues(), stray) })
	}
	eventually(t, "two subscriptions are left", func() bool { return len(cloud.Subscriptions()) == 2 })
	for _, other := range others {
		if !slices.Contains(cloud.Queues(), other) {
			t.Errorf("%s was removed, and is not one of ours", other)
		}
	}
	for _, from := range []driver.Conn{one, two} {
		arrives(t, from, one, "x", "still here")
		if m, err := two.Receive(within(t)); err != nil || string(m.Payload) != "still here" {
			t.Errorf("got %+v, %v", m, err)
		}
	}
	if n := len(cloud.Queues()); n != len(others)+2 {
		t.Errorf("got queues %q", cloud.Queues())
	}
}

// TestAHubComesBackAfterTheEmulatorHasForgottenEverything, with a Gap.
func TestAHubComesBackAfterTheEmulatorHasForgottenEverything(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	hub := pubsub.NewHub(newDriver(t, cloud.URL, nil), &pubsub.Options{Prefix: "lockstep:"})
	if err := hub.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	heard := make(chan pubsub.Message, 16)
	err := hub.SubscribeTopic(within(t), "me", "prices", func(_ context.Context, m pubsub.Message) error {
		heard <- m
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cloud.Kill()
	eventually(t, "it is degraded", func() bool { return hub.Err() != nil })
	cloud.Start()
	eventually(t, "it is back", func() bool { return hub.Err() == nil })
	if m := <-heard; !m.Gap {
		t.Errorf("got %+v, want a gap", m)
	}
	if err := hub.Broadcast(within(t), "prices", []byte("tea is 3")); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; string(m.Payload) != "tea is 3" {
		t.Errorf("got %+v", m)
	}
	if err := hub.Stop(within(t)); err != nil {
		t.Error(err)
	}
	if q := cloud.Queues(); len(q) > 0 {
		t.Errorf("got queues %q, want none", q)
	}
}

// TestWhatSNSDoesNotCarryIsAGap, to the byte.
func TestWhatSNSDoesNotCarryIsAGap(t *testing.T) {
	cloud := testserver.Goaws(t)
	conn := subscribed(t, cloud.URL, "x", nil)
	const most = (256<<10-1)*3/4 - len("\x01x")
	for size, gap := range map[int]bool{0: false, most: false, most + 1: true, 1 << 20: true} {
		if err := conn.Publish(within(t), "x", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		m, err := conn.Receive(within(t))
		if err != nil || m.Gap != gap || m.Topic != "x" || (m.Payload == nil) != gap || !gap && len(m.Payload) != size {
			t.Errorf("%d bytes: got %d, gap %t, %v", size, len(m.Payload), m.Gap, err)
		}
	}
}

// TestWhatGathersGoesTogether: small messages in few requests, large ones in as many as SNS
// wants.
func TestWhatGathersGoesTogether(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	conn := subscribed(t, cloud.URL, "x", nil)
	for _, c := range []struct{ n, size, least, most int }{{400, 100, 40, 200}, {40, 100 << 10, 20, 40}} {
		before := cloud.Asked("PublishBatch")
		var all sync.WaitGroup
		for i := range c.n {
			all.Go(func() {
				if err := conn.Publish(within(t), "x", bytes.Repeat([]byte{byte(i)}, c.size)); err != nil {
					t.Error(err)
				}
			})
		}
		for range c.n {
			if m, err := conn.Receive(within(t)); err != nil || len(m.Payload) != c.size {
				t.Fatalf("got %d bytes, gap %t, %v", len(m.Payload), m.Gap, err)
			}
		}
		all.Wait()
		if asked := cloud.Asked("PublishBatch") - before; asked < c.least || asked > c.most {
			t.Errorf("%d messages of %d bytes: %d requests, want %d to %d", c.n, c.size, asked, c.least, c.most)
		}
	}
}

// TestAMessageOfSomebodyElseDoesNoHarm, whatever is in it.
func TestAMessageOfSomebodyElseDoesNoHarm(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	conn := subscribed(t, cloud.URL, "x", nil)
	for _, body := range []string{"m", "m!", "g", "s", "sAXg", "mAng", "z", "hello", `{"a":1}`, "mf////w8"} {
		cloud.Do("Publish", "TopicArn", "arn:aws:sns::123456789012:lockstep", "Message", body)
	}
	arrives(t, conn, conn, "x", "y")
}

func TestAnInstallationHearsOnlyItself(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	other := strings.Replace(cloud.URL, "/lockstep?", "/lockstep-2?", 1)
	a, b := subscribed(t, cloud.URL, "x", nil), subscribed(t, other, "x", nil)
	if err := a.Publish(within(t), "x", []byte("a")); err != nil {
		t.Fatal(err)
	}
	arrives(t, b, b, "x", "b")
}

func TestAnEmulatorThatIsNotThereIsSaidSo(t *testing.T) {
	_, err := newDriver(t, "snssqs://key:hunter2@eu-central-1?endpoint=http://127.0.0.1:1", nil).Open(t.Context())
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want that the connection was refused, and no secret", err)
	}
}

func TestWithoutCredentialsItIsSaid(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	_, err := newDriver(t, "snssqs://eu-central-1?endpoint=http://127.0.0.1:1", nil).Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no credentials for AWS") {
		t.Errorf("got %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	if _, err := newDriver(t, "snssqs://eu-central-1?endpoint=http://127.0.0.1:1", nil).Open(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want that they were found", err)
	}
}

func TestTLSIsCheckedAsForOtherServers(t *testing.T) {
	ca := testserver.NewAuthority(t)
	cloud := testserver.GoawsTLS(t, ca)
	bare, _, _ := strings.Cut(cloud.URL, "&")
	for name, c := range map[string]struct{ url, says string }{
		"the authority is known":      {cloud.URL, ""},
		"anybody is good enough":      {bare + "&sslmode=require", ""},
		"the authority is another":    {bare + "&sslrootcert=" + testserver.NewAuthority(t).File, "certificate"},
		"the system does not know it": {bare, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := newDriver(t, c.url, nil).Open(within(t))
			if err == nil {
				err = conn.Close()
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// TestManyCanBeOpenedAtOnce with one driver, and what the environment says of authorities adds
// nothing to what the URL says.
func TestManyCanBeOpenedAtOnce(t *testing.T) {
	ca := testserver.NewAuthority(t)
	cloud := testserver.GoawsTLS(t, ca)
	t.Setenv("AWS_CA_BUNDLE", ca.File)
	d := newDriver(t, cloud.URL, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := d.Open(within(t))
			if err == nil {
				err = c.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	bare, _, _ := strings.Cut(cloud.URL, "&")
	open(t, bare, nil)
	if _, err := newDriver(t, bare+"&sslrootcert="+testserver.NewAuthority(t).File, nil).Open(within(t)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want that it is believed by nobody", err)
	}
}

func TestAURLThatIsWrongIsNotShown(t *testing.T) {
	for name, c := range map[string]struct{ url, says string }{
		"another scheme":             {"sqs://k:hunter2@eu-central-1", "not a valid URL"},
		"no region":                  {"snssqs://k:hunter2@", "not a valid URL"},
		"a region that is none":      {"snssqs://k:hunter2@EU.hunter2", "not a valid URL"},
		"a bad escape":               {"snssqs://k:hunter2%2@eu-central-1", "not a valid URL"},
		"a port":                     {"snssqs://k:hunter2@eu-central-1:4100", "not a valid URL"},
		"a key without its secret":   {"snssqs://hunter2@eu-central-1", "KEY:SECRET"},
		"a name that AWS can't have": {"snssqs://k:hunter2@eu-central-1/a.b", "letters, digits"},
		"a name that is too long":    {"snssqs://k:hunter2@eu-central-1/" + strings.Repeat("a", 41), "40"},
		"a path":                     {"snssqs://k:hunter2@eu-central-1/a/b", "letters, digits"},
		"an option that is none":     {"snssqs://k:hunter2@eu-central-1?hunter2=1", "not a valid URL"},
		"options that can't be read": {"snssqs://k:hunter2@eu-central-1?a=%zz", "not a valid URL"},
		"an endpoint that is none":   {"snssqs://k:hunter2@eu-central-1?endpoint=localhost:4100", "endpoint"},
		"an endpoint with a user":    {"snssqs://k:hunter2@eu-central-1?endpoint=http://u:hunter2@x", "endpoint"},
		"files without TLS":          {"snssqs://k:hunter2@eu-central-1?endpoint=http://x&sslrootcert=y", "endpoint=https://"},
		"no such authority":          {"snssqs://k:hunter2@eu-central-1?sslrootcert=/nowhere", "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snssqspubsub.NewDriver(c.url, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q, and no secret", err, c.says)
			}
		})
	}
}

// TestNothingIsLostWhileMoreComesThanOneRequestTakes: more requests are made then.
func TestNothingIsLostWhileMoreComesThanOneRequestTakes(t *testing.T) {
	cloud := testserver.Goaws(t)
	cloud.Own()
	sub, pub := subscribed(t, cloud.URL, "x", nil), open(t, cloud.URL, nil)
	const n = 500
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := pub.Publish(within(t), "x", strconv.AppendInt(nil, int64(i), 10)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := make(map[string]bool)
	for len(got) < n {
		m, err := sub.Receive(within(t))
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(got), n, err)
		}
		got[string(m.Payload)] = true
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.Goaws(b).URL, nil))
}
