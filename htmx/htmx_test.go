package htmx_test

import (
	"testing"
	"time"

	"lockstep/htmx"
)

// now is the clock of the server in tests, 1700000000123 on the wire.
var now = time.UnixMilli(1_700_000_000_123)

func TestMessagesHaveTheFormOfTheContract(t *testing.T) {
	a := htmx.Op{Topic: "counter:a", Client: "AAAAAAAAAAAAAAAAAAAAAA", Seq: 7}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"a state", htmx.State("counter:a", 7, 0, htmx.Partial{Target: "#live", HTML: "<p>1 & 2</p>"}),
			`{"t":"counter:a","e":7,"v":0,"swap":"none","content":"<hx-partial hx-target=\"#live\" hx-swap=\"innerMorph\"><p>1 & 2</p></hx-partial>"}`},
		{"a state of two parts", htmx.State("a", 1, 1, htmx.Partial{Target: "#x", HTML: "1"}, htmx.Partial{Target: "#y", HTML: "2"}),
			`{"t":"a","e":1,"v":1,"swap":"none","content":"<hx-partial hx-target=\"#x\" hx-swap=\"innerMorph\">1</hx-partial><hx-partial hx-target=\"#y\" hx-swap=\"innerMorph\">2</hx-partial>"}`},
		{"a correction", htmx.Correction("a", 7, 1, htmx.Partial{Target: "#live", HTML: "1"}),
			`{"t":"a","e":7,"v":1,"swap":"none","content":"<hx-partial hx-target=\"#live\" hx-swap=\"innerMorph\">1</hx-partial>","back":true}`},
		{"a state for a tab that renders itself", htmx.Data("counter:a", 7, 1<<60, `{"n":"<1>"}`),
			`{"t":"counter:a","e":7,"v":1152921504606846976,"state":"{\"n\":\"<1>\"}"}`},
		{"its correction", htmx.DataCorrection("a", 7, 1, "1"), `{"t":"a","e":7,"v":1,"state":"1","back":true}`},
		{"an empty state", htmx.Data("a", 1, 1, ""), `{"t":"a","e":1,"v":1,"state":""}`},
		{"a fragment", htmx.Fragment("tabs", htmx.Partial{Target: "#tabs", HTML: "3"}),
			`{"t":"tabs","swap":"none","content":"<hx-partial hx-target=\"#tabs\" hx-swap=\"innerMorph\">3</hx-partial>"}`},
		{"a refusal", htmx.Refuse(now, a, "no"),
			`{"t":"counter:a","op":["AAAAAAAAAAAAAAAAAAAAAA",7],"refused":"no","clock":1700000000123}`},
		{"a refusal without a reason", htmx.Refuse(now, a, ""),
			`{"t":"counter:a","op":["AAAAAAAAAAAAAAAAAAAAAA",7],"refused":"","clock":1700000000123}`},
		{"a retry", htmx.Retry(now, a, "later"),
			`{"t":"counter:a","op":["AAAAAAAAAAAAAAAAAAAAAA",7],"retry":true,"error":"later","clock":1700000000123}`},
		{"a retry without a reason", htmx.Retry(now, a, ""),
			`{"t":"counter:a","op":["AAAAAAAAAAAAAAAAAAAAAA",7],"retry":true,"clock":1700000000123}`},
		{"an op whose answer was had", htmx.Settled(now, a),
			`{"t":"counter:a","op":["AAAAAAAAAAAAAAAAAAAAAA",7],"settled":true,"clock":1700000000123}`},
		{"an op of which nobody knows", htmx.Old(now, a),
			`{"t":"counter:a","op":["AAAAAAAAAAAAAAAAAAAAAA",7],"old":true,"clock":1700000000123}`},
		{"a complaint", htmx.Complain("what?"), `{"error":"what?"}`},
		{"a status", htmx.Welcome(htmx.Degraded, 20*time.Second, now), `{"clock":1700000000123,"status":"degraded","beat":20}`},
		{"a status with something to show", htmx.Welcome(htmx.Live, time.Second, now, htmx.Partial{Target: "#replica", HTML: "a"}),
			`{"clock":1700000000123,"status":"live","beat":1,"swap":"none","content":"<hx-partial hx-target=\"#replica\" hx-swap=\"innerMorph\">a</hx-partial>"}`},
		{"a beat of less than a second", htmx.Welcome(htmx.Live, 250*time.Millisecond, now), `{"clock":1700000000123,"status":"live","beat":0.25}`},
		{"a status that says nothing of a beat", htmx.Welcome(htmx.Live, 0, now), `{"clock":1700000000123,"status":"live"}`},
		{"a proof", htmx.Proof(htmx.Live, 20*time.Second, now), `{"clock":1700000000123,"status":"live","beat":20,"proof":true}`},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestAcknowledgementsGoTogetherByTopicInTheOrderOfTheOps(t *testing.T) {
	op := func(topic, client string, seq uint64) htmx.Applied {
		return htmx.Applied{Op: htmx.Op{Topic: topic, Client: client, Seq: seq}}
	}
	for _, c := range []struct {
		name string
		ops  []htmx.Applied
		want []string
	}{
		{"none", nil, nil},
		{"one", []htmx.Applied{op("a", "x", 1)}, []string{`{"t":"a","ack":[["x",1]],"clock":1700000000123}`}},
		{"of two clients", []htmx.Applied{op("a", "x", 1), op("a", "y", 9007199254740991), op("a", "x", 2)},
			[]string{`{"t":"a","ack":[["x",1],["y",9007199254740991],["x",2]],"clock":1700000000123}`}},
		{"of which one is known to be in a state", []htmx.Applied{op("a", "x", 1), {htmx.Op{Topic: "a", Client: "x", Seq: 2}, 1700000000000, 7}},
			[]string{`{"t":"a","ack":[["x",1],["x",2]],"first":[null,[1700000000000,7]],"clock":1700000000123}`}},
		{"of which one is not", []htmx.Applied{{htmx.Op{Topic: "a", Client: "x", Seq: 1}, 1, 7}, op("b", "x", 1), op("a", "x", 2)},
			[]string{`{"t":"a","ack":[["x",1],["x",2]],"first":[[1,7],null],"clock":1700000000123}`, `{"t":"b","ack":[["x",1]],"clock":1700000000123}`}},
		{"of three topics", []htmx.Applied{op("b", "x", 1), op("a", "x", 1), op("b", "x", 2), op("c", "x", 1), op("a", "x", 2)},
			[]string{
				`{"t":"b","ack":[["x",1],["x",2]],"clock":1700000000123}`,
				`{"t":"a","ack":[["x",1],["x",2]],"clock":1700000000123}`,
				`{"t":"c","ack":[["x",1]],"clock":1700000000123}`,
			}},
	} {
		messages := htmx.Acks(now, c.ops...)
		if len(messages) != len(c.want) {
			t.Errorf("%s: got %q, want %q", c.name, messages, c.want)
			continue
		}
		for i, want := range c.want {
			if got := string(messages[i]); got != want {
				t.Errorf("%s: got %s, want %s", c.name, got, want)
			}
		}
	}
}

func TestTheLimitOfSilenceFollowsTheBeat(t *testing.T) {
	for beat, want := range map[time.Duration]time.Duration{
		0: htmx.SilenceTimeout, htmx.StatusInterval: htmx.SilenceTimeout,
		time.Millisecond: htmx.SilenceTimeoutMin, time.Minute: 135 * time.Second, 1000 * time.Hour: 2250 * time.Hour,
	} {
		if got := htmx.SilenceLimit(beat); got != want {
			t.Errorf("got %s for a beat of %s, want %s", got, beat, want)
		}
	}
}

func BenchmarkAcks(b *testing.B) {
	op := htmx.Op{Topic: "counter:lobby", Client: "AAAAAAAAAAAAAAAAAAAAAA", Seq: 12}
	b.ReportAllocs()
	for b.Loop() {
		htmx.Acks(now, htmx.Applied{Op: op})
	}
}
