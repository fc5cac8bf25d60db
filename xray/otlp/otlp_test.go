package otlp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/xray"
	"lockstep/xray/otlp"
)

// A collector takes traces as a client that reaches no network.
type collector struct {
	mu       sync.Mutex
	answers  []answer // one after the other; none: 200
	requests []*http.Request
	bodies   []string
	times    []time.Time
}

type answer struct {
	status int // 0: the connection is refused
	after  string
	body   string
}

func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(z); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.bodies, c.times = append(c.requests, r), append(c.bodies, string(body)), append(c.times, time.Now())
	says := answer{status: 200, body: "{}"}
	if len(c.answers) > 0 {
		says, c.answers = c.answers[0], c.answers[1:]
	}
	if says.status == 0 {
		return nil, errors.New("connection refused")
	}
	h := make(http.Header)
	h.Set("Retry-After", says.after)
	return &http.Response{
		StatusCode: says.status, Status: strconv.Itoa(says.status), Header: h, Body: io.NopCloser(strings.NewReader(says.body)),
	}, nil
}

func (c *collector) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.bodies)
}

// run runs an exporter to a collector until the test ends, or end is called.
func run(t *testing.T, c *collector, o *otlp.Options) (e *otlp.Exporter, end func()) {
	t.Helper()
	o.Client = &http.Client{Transport: c}
	e = otlp.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	end = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(end)
	return e, end
}

// A sent is what a collector is sent, as far as it is looked at.
type sent struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []attribute }
		ScopeSpans []struct{ Spans []span }
	}
}

type attribute struct {
	Key   string
	Value struct{ StringValue, IntValue string }
}

type span struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano, EndTimeUnixNano  string
	Attributes                          []attribute
	Status                              struct{ Code int }
}

func (s span) took(t *testing.T) time.Duration {
	t.Helper()
	from, err := strconv.ParseInt(s.StartTimeUnixNano, 10, 64)
	to, err2 := strconv.ParseInt(s.EndTimeUnixNano, 10, 64)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(to - from)
}

func read(t *testing.T, body string) (all sent) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func values(attributes []attribute) map[string]string {
	all := make(map[string]string)
	for _, a := range attributes {
		all[a.Key] = a.Value.StringValue + a.Value.IntValue
	}
	return all
}

// A slow store takes its time for each commit.
type slow struct{ state.Store }

func (s slow) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	time.Sleep(40 * time.Millisecond)
	return s.Store.Commit(ctx, steps...)
}

// TestAClickIsATrace, with a span for each part of its way, and nothing of the person in it.
func TestAClickIsATrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		e, end := run(t, &c, &otlp.Options{
			Service: "shop", Attributes: map[string]string{"deployment.environment.name": "test"}, Headers: map[string]string{"Authorization": "Bearer x"}, Gzip: true,
		})
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, slow{store}, "one", e), start(t, bus, store, "two", e)
		tab, other := open(t, one), open(t, two)
		time.Sleep(time.Second)
		tab.Click("hits:a", "hit") // the others have not been asked yet
		time.Sleep(5 * time.Second)
		hit := tab.Click("hits:a", "hit")
		tab.Until("the answer", func() bool { return tab.Acked(hit) == 1 })
		tab.Click("hits:a", "fail")
		other.Until("the count", func() bool { return other.Shown("hits:a").Content != "" })
		time.Sleep(10 * time.Second)
		end()
		if h := c.requests[0].Header; h.Get("Authorization") != "Bearer x" || h.Get("Content-Type") != "application/json" || c.requests[0].URL.String() != "http://localhost:4318/v1/traces" {
			t.Errorf("it was sent to %s with %v", c.requests[0].URL, h)
		}
		var all []span
		for _, body := range c.got() {
			if strings.Contains(body, hit.Client) || strings.Contains(body, "somebody") {
				t.Errorf("what is sent names the person or their client: %s", body)
			}
			for _, r := range read(t, body).ResourceSpans {
				if got := values(r.Resource.Attributes); !maps.Equal(got, map[string]string{"service.name": "shop", "service.instance.id": "one", "deployment.environment.name": "test"}) {
					t.Errorf("the resource is %v", got)
				}
				all = append(all, r.ScopeSpans[0].Spans...)
			}
		}
		var root, refused span
		for _, s := range all {
			switch {
			case s.Name == "hits fail":
				refused = s
			case s.Name == "hits hit" && values(s.Attributes)["lockstep.version"] == "2":
				root = s
			}
		}
		byName := make(map[string]span)
		var names []string
		for _, s := range all {
			if s.TraceID == root.TraceID {
				byName[s.Name], names = s, append(names, s.Name)
			}
		}
		if got := values(root.Attributes); got["lockstep.topic"] != "hits:a" || got["lockstep.verdict"] != "ack" || got["lockstep.version"] != "2" || root.Kind != 2 || root.ParentSpanID != "" {
			t.Fatalf("the root is %+v, of %v", root, names)
		}
		if refused.Status.Code != 2 {
			t.Errorf("an op that was refused is %+v", refused)
		}
		for _, name := range []string{"queue", "store", "wait", "render", "write", "publish", "broker", "show on two"} {
			s, ok := byName[name]
			if !ok {
				t.Errorf("there is no span %q in %v", name, names)
				continue
			}
			if len(s.TraceID) != 32 || len(s.SpanID) != 16 || s.ParentSpanID != root.SpanID {
				t.Errorf("%q is %+v, want it in %+v", name, s, root)
			}
			if s.took(t) > root.took(t) {
				t.Errorf("%q took %s, and all of it %s", name, s.took(t), root.took(t))
			}
		}
		if got := root.took(t); got < 40*time.Millisecond {
			t.Errorf("all of it took %s, and the store 40 ms", got)
		}
	})
}

func start(t *testing.T, bus *mempubsub.Bus, store state.Store, name string, e *otlp.Exporter) *lockstep.App {
	t.Helper()
	rec := xray.New(&xray.Options{Sample: e.Sample, Done: e.Done})
	a := lockstep.New(bus, store, &lockstep.Options{Logger: slog.New(slog.DiscardHandler), Replica: name, Hooks: rec})
	hits := lockstep.Share(a, "hits", func(n int) templ.Component { return templ.Raw(fmt.Sprint(n)) })
	lockstep.On(hits, "hit", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n + 1, nil })
	lockstep.On(hits, "fail", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n, lockstep.Refused("no") })
	rec.Follow(a)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(context.Background(), 0) }) // the tabs are gone
	return a
}

func open(t *testing.T, a *lockstep.App) *livetest.Tab {
	t.Helper()
	view, err := a.View(lockstep.Visitor{User: "somebody"}, "hits:a")
	if err != nil {
		t.Fatal(err)
	}
	tab := livetest.Open(t, a.Runtime(), view)
	tab.Send(`{"hello":2,"client":"` + tab.Client() + `"}`)
	return tab
}

// TestTracesAreSentAgainWhileTheCollectorIsAway, and not when it refuses them.
func TestTracesAreSentAgainWhileTheCollectorIsAway(t *testing.T) {
	for name, test := range map[string]struct {
		answers []answer
		want    []time.Duration // when it was sent, after the first time
	}{
		"taken":       {nil, []time.Duration{0}},
		"in part":     {[]answer{{200, "", `{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}`}}, []time.Duration{0}},
		"away":        {[]answer{{}, {}, {}}, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}},
		"busy":        {[]answer{{429, "5", ""}, {503, "", ""}}, []time.Duration{0, 5 * time.Second, 7 * time.Second}},
		"busy for ay": {[]answer{{503, "99999", ""}}, []time.Duration{0, 30 * time.Second}},
		"refused":     {[]answer{{400, "", ""}}, []time.Duration{0}},
		"not allowed": {[]answer{{401, "1", ""}}, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := collector{answers: test.answers}
				e, end := run(t, &c, &otlp.Options{})
				e.Done(xray.Trace{Replica: "one", Came: time.Now()})
				time.Sleep(time.Hour)
				end()
				var got []time.Duration
				for _, at := range c.times {
					got = append(got, at.Sub(c.times[0]))
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("it was sent at %v, want %v", got, test.want)
				}
			})
		})
	}
}

// TestTheQueueIsBounded while the collector is away, and what is in it is sent when that is back.
func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := collector{answers: []answer{{}, {}}}
		var log bytes.Buffer
		e, end := run(t, &c, &otlp.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 10_000 {
			e.Done(xray.Trace{Replica: "one", Came: time.Now()})
		}
		time.Sleep(time.Minute)
		end()
		n := 0
		for _, body := range c.got()[2:] { // the first two were not taken
			n += strings.Count(body, `"traceId"`)
		}
		if n != 2048 {
			t.Errorf("%d traces were sent, want 2048", n)
		}
		if !strings.Contains(log.String(), "dropped=7952") {
			t.Errorf("the log does not say how many were dropped: %s", &log)
		}
	})
}

// TestWhatIsLeftIsSentAtTheEnd, once, and not for long.
func TestWhatIsLeftIsSentAtTheEnd(t *testing.T) {
	for _, away := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var c collector
			if away {
				c.answers = []answer{{}, {}, {}}
			}
			e, end := run(t, &c, &otlp.Options{})
			e.Done(xray.Trace{Replica: "one", Came: time.Now()})
			synctest.Wait()
			began := time.Now()
			end()
			if got := len(c.got()); got != 1 {
				t.Errorf("it was sent %d times, want once", got)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("the end took %s", took)
			}
		})
	}
}

func TestTheEnvironmentSaysWhereTracesGo(t *testing.T) {
	const all, traces = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"
	for name, test := range map[string]struct {
		env  map[string]string
		want *otlp.Options
		err  string // has
	}{
		"nothing":       {nil, nil, ""},
		"an address":    {map[string]string{all + "ENDPOINT": "http://otel:4318/"}, &otlp.Options{URL: "http://otel:4318/v1/traces", Ratio: 1}, ""},
		"for traces":    {map[string]string{all + "ENDPOINT": "http://otel:4318", traces + "ENDPOINT": "https://traces/x"}, &otlp.Options{URL: "https://traces/x", Ratio: 1}, ""},
		"the exporter":  {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, &otlp.Options{URL: "http://localhost:4318/v1/traces", Ratio: 1}, ""},
		"no exporter":   {map[string]string{"OTEL_TRACES_EXPORTER": "none", all + "ENDPOINT": "http://otel:4318"}, nil, ""},
		"disabled":      {map[string]string{"OTEL_SDK_DISABLED": "True", all + "ENDPOINT": "http://otel:4318"}, nil, ""},
		"a name":        {map[string]string{all + "ENDPOINT": "http://o", "OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.name=x,a=b%20c"}, &otlp.Options{URL: "http://o/v1/traces", Ratio: 1, Service: "shop", Attributes: map[string]string{"a": "b c"}}, ""},
		"another name":  {map[string]string{all + "ENDPOINT": "http://o", "OTEL_RESOURCE_ATTRIBUTES": " service.name = x ,"}, &otlp.Options{URL: "http://o/v1/traces", Ratio: 1, Service: "x"}, ""},
		"all":           {map[string]string{all + "ENDPOINT": "http://o", all + "TIMEOUT": "2500", all + "COMPRESSION": "gzip", all + "HEADERS": "api-key=k%3D1", all + "PROTOCOL": "http/json"}, &otlp.Options{URL: "http://o/v1/traces", Ratio: 1, Timeout: 2500 * time.Millisecond, Gzip: true, Headers: map[string]string{"api-key": "k=1"}}, ""},
		"a ratio":       {map[string]string{all + "ENDPOINT": "http://o", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, &otlp.Options{URL: "http://o/v1/traces", Ratio: .25}, ""},
		"a ratio of 0":  {map[string]string{all + "ENDPOINT": "http://o", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, &otlp.Options{URL: "http://o/v1/traces", Ratio: -1}, ""},
		"none":          {map[string]string{all + "ENDPOINT": "http://o", "OTEL_TRACES_SAMPLER": "always_off"}, &otlp.Options{URL: "http://o/v1/traces", Ratio: -1}, ""},
		"wrong ratio":   {map[string]string{all + "ENDPOINT": "http://o", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, nil, "OTEL_TRACES_SAMPLER_ARG"},
		"wrong sampler": {map[string]string{all + "ENDPOINT": "http://o", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, nil, "OTEL_TRACES_SAMPLER"},
		"gRPC":          {map[string]string{all + "ENDPOINT": "http://o:4317", all + "PROTOCOL": "grpc"}, nil, "http/json"},
		"zipkin":        {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, nil, "otlp alone"},
		"no address":    {map[string]string{all + "ENDPOINT": "otel:4318"}, nil, all + "ENDPOINT"},
		"wrong headers": {map[string]string{all + "ENDPOINT": "http://o", all + "HEADERS": "secret"}, nil, all + "HEADERS"},
		"wrong timeout": {map[string]string{all + "ENDPOINT": "http://o", all + "TIMEOUT": "5s"}, nil, all + "TIMEOUT"},
		"wrong gzip":    {map[string]string{all + "ENDPOINT": "http://o", all + "COMPRESSION": "zstd"}, nil, all + "COMPRESSION"},
		"wrong name":    {map[string]string{all + "ENDPOINT": "http://o", "OTEL_RESOURCE_ATTRIBUTES": "x"}, nil, "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := otlp.FromEnvironment(func(name string) string { return test.env[name] })
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got the error %v, want one about %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (got == nil) != (test.want == nil) {
				t.Fatalf("got %+v, want %+v", got, test.want)
			}
			if got != nil && (got.URL != test.want.URL || got.Ratio != test.want.Ratio || got.Service != test.want.Service || got.Timeout != test.want.Timeout ||
				got.Gzip != test.want.Gzip || !maps.Equal(got.Attributes, test.want.Attributes) || !maps.Equal(got.Headers, test.want.Headers)) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
