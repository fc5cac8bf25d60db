package snssqspubsub

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

func FuzzDecodeReadsWhatEncodeHasWritten(f *testing.F) {
	f.Add("counter:lobby", []byte("payload"), "mAXg")
	f.Add("", []byte{}, "m/////////////wE")
	f.Add("é", []byte{0, 255}, "s")
	f.Fuzz(func(t *testing.T, name string, payload []byte, foreign string) {
		kind, gotName, gotPayload, ok := decode(encode(kindMessage, name, payload))
		if !ok || kind != kindMessage || gotName != name || !bytes.Equal(gotPayload, payload) {
			t.Errorf("got %c, %q, %q, %t", kind, gotName, gotPayload, ok)
		}
		// What others write is read as nothing else when it is written by us.
		if kind, name, payload, ok := decode(foreign); ok {
			again, gotName, gotPayload, ok := decode(encode(kind, name, payload))
			if !ok || again != kind || gotName != name || !bytes.Equal(gotPayload, payload) {
				t.Errorf("%q: got %c, %q, %q, %t", foreign, again, gotName, gotPayload, ok)
			}
		}
	})
}

func FuzzNamesAreThoseOfAWS(f *testing.F) {
	for _, name := range []string{"lockstep:", "", "a:b:", "é", strings.Repeat("x", 200), "a.b", "a b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name := nameOf(text)
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !inName(r) }) {
			t.Errorf("%q is %q", text, name)
		}
		if nameOf(name) != name {
			t.Errorf("%q is %q, which would be %q", text, name, nameOf(name))
		}
		queue := newQueueName(name)
		if len(queue) > 80 || !isQueueName(name, queue) || isQueueName(name+"-replica-x", queue) {
			t.Errorf("%q has the queue %q", text, queue)
		}
	})
}

func TestDifferentInstallationsHaveDifferentNames(t *testing.T) {
	names := make(map[string]string)
	for _, text := range []string{"lockstep:", "lockstep::", "lock step:", "lock.step:", "lock-step:", "a:b:", "a-b:", strings.Repeat("x", 41), strings.Repeat("x", 42)} {
		if other, has := names[nameOf(text)]; has {
			t.Errorf("%q and %q are both %q", text, other, nameOf(text))
		}
		names[nameOf(text)] = text
	}
	if nameOf("lockstep:") != "lockstep" || nameOf("") != "lockstep" {
		t.Errorf("got %q and %q", nameOf("lockstep:"), nameOf(""))
	}
}

// TestLateIsCountedFromTheFastest: AWS's clock is not ours.
func TestLateIsCountedFromTheFastest(t *testing.T) {
	for name, skew := range map[string]time.Duration{"same": 0, "ahead": time.Hour, "behind": -time.Hour} {
		var l lag
		for i, c := range []struct{ sent, took, want time.Duration }{
			{0, 30 * time.Millisecond, 0},
			{time.Second, 20 * time.Millisecond, 0},
			{2 * time.Second, 20*time.Millisecond + 31*time.Second, 31 * time.Second},
		} {
			if got := l.of(c.sent+skew, c.sent+c.took); got != c.want {
				t.Errorf("%s, message %d: got %s, want %s", name, i, got, c.want)
			}
		}
	}
}

// TestAQueueIsAStrayWhenNothingIsHeardOfItByOneThatHearsItself. After a pause of the whole
// process nothing was heard for long, but only one sign is missing.
func TestAQueueIsAStrayWhenNothingIsHeardOfItByOneThatHearsItself(t *testing.T) {
	own, live, dead := newQueueName("x"), newQueueName("x"), newQueueName("x")
	c := &conn{name: "x", queue: own, heard: make(chan struct{}), queues: make(queues)}
	found := map[string]stray{own: {"own", ""}, live: {"live", ""}, dead: {"dead", ""}}
	round := func(hear ...string) map[string]stray {
		for _, q := range hear {
			c.hear(q)
		}
		if c.queues.miss(own) > 0 {
			return nil
		}
		return c.silent(found)
	}
	c.silent(found)
	for i := range 20 {
		if len(round()) > 0 && i > 0 {
			t.Fatal("one that does not hear itself judges")
		}
	}
	for i := range maxSilent - 1 { // one has been counted before
		if s := round(own, live); len(s) > 0 {
			t.Fatalf("round %d: got %v, want no strays yet", i, s)
		}
	}
	if s := round(own, live); len(s) != 1 || s[dead].queueURL != "dead" {
		t.Fatalf("got %v, want the one that is dead", s)
	}
	c.hear(dead)
	if s := round(own, live); len(s) > 0 {
		t.Errorf("got %v, though it has been heard", s)
	}
	delete(found, dead)
	round(own, live)
	if _, known := c.queues[dead]; known {
		t.Error("what is gone is remembered")
	}
}

func TestManyNamesAreNotRemembered(t *testing.T) {
	c := &conn{name: "x", queue: newQueueName("x"), heard: make(chan struct{}), queues: make(queues)}
	for range maxKnown + 10 {
		c.hear(newQueueName("x"))
		c.hear("anything")
	}
	if len(c.queues) != maxKnown {
		t.Errorf("got %d", len(c.queues))
	}
	c.hear(c.queue)
	if _, known := c.queues[c.queue]; !known {
		t.Error("it does not know itself any more")
	}
}

func TestRequestsFollowWhatComes(t *testing.T) {
	polls := 1
	for i, c := range []struct{ n, want int }{{10, 2}, {20, 4}, {40, 8}, {80, 8}, {60, 8}, {30, 4}, {0, 2}, {0, 1}, {9, 1}, {0, 1}} {
		if polls = pollsAfter(polls, c.n); polls != c.want {
			t.Fatalf("step %d: got %d, want %d", i, polls, c.want)
		}
	}
}

func TestARefusalBelongsToItsCall(t *testing.T) {
	errs := make([]error, 3)
	refusals([]types.BatchResultErrorEntry{
		{Id: aws.String("1"), Code: aws.String("InternalError"), Message: aws.String("m")},
		{Id: aws.String("7")}, {Id: aws.String("x")}, {},
	}, errs)
	if errs[0] != nil || errs[2] != nil || errs[1] == nil || errs[1].Error() != "snssqspubsub: Publish: InternalError: m" {
		t.Errorf("got %q", errs)
	}
}
