package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// A collector takes OTLP as its schema has it, and nothing else.
type collector struct {
	mu    sync.Mutex
	spans []*tracepb.Span
	wrong error
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = protojson.Unmarshal(body, &data) // it takes no field that is not of the schema
	}
	if err == nil && (r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json") {
		err = fmt.Errorf("sent to %s as %s", r.URL.Path, r.Header.Get("Content-Type"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.wrong = fmt.Errorf("%w: %s", err, body)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	_, _ = io.WriteString(w, "{}") // the program ends before it hears it
}

// TestClicksAreTraced from socket to broadcast to the last write, where OpenTelemetry's variables
// are set.
func TestClicksAreTraced(t *testing.T) {
	t.Parallel()
	var c collector
	srv := httptest.NewServer(&c)
	t.Cleanup(srv.Close)
	p := &process{
		t: t, dir: t.TempDir(), args: []string{"-addr", address(freePorts(t, 1)), "-store", "mem:"},
		env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + srv.URL, "OTEL_SERVICE_NAME=demo"},
	}
	p.run()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := visitOutside(t, p.url+"/", "counter:lobby")
	if err := o.connect(ctx); err != nil {
		t.Fatal(err)
	}
	const clicks = 12
	if err := o.click(ctx, clicks); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all clicks to be traced", func() error {
		return c.has(clicks, "counter increment", "queue", "store", "wait", "render", "write", "publish", "broker")
	})
}

// TestClicksOfAnExampleAreTraced on the replica that they come to, and told by the other.
func TestClicksOfAnExampleAreTraced(t *testing.T) {
	t.Parallel()
	var c collector
	srv := httptest.NewServer(&c)
	t.Cleanup(srv.Close)
	dir, err := exampleDir()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		t: t, dir: t.TempDir(), path: filepath.Join(dir, "hits"), args: []string{"-addr", address(freePorts(t, 4)), "-replicas", "2"},
		env: []string{"LOCKSTEP_SECRET=" + testSecret, "OTEL_EXPORTER_OTLP_ENDPOINT=" + srv.URL},
	}
	p.run()
	tab := visit(t, newBrowser(t), p.url)
	const clicks = 3
	for range clicks {
		tab.clickOn("main form button")
	}
	eventually(t, "all clicks to be traced", func() error {
		return c.has(clicks, "hits hit", "queue", "store", "wait", "render", "write", "publish", "broker")
	})
}

// has returns why it has not got the traces of so many clicks of a name, some of which may have
// been sent twice, with some parts.
func (c *collector) has(clicks int, root string, parts ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong != nil {
		return c.wrong
	}
	roots, names := 0, make(map[string]int)
	for _, s := range c.spans {
		if s.Name == root && len(s.ParentSpanId) == 0 && s.EndTimeUnixNano > s.StartTimeUnixNano {
			roots++
		}
		names[s.Name]++
	}
	for _, name := range parts {
		if names[name] < clicks {
			return fmt.Errorf("there are %v", names)
		}
	}
	if roots < clicks {
		return fmt.Errorf("%d clicks are traced, want %d", roots, clicks)
	}
	return nil
}

// TestWrongVariablesOfTracesKeepNobodyFromServing: they may be meant for other programs.
func TestWrongVariablesOfTracesKeepNobodyFromServing(t *testing.T) {
	t.Parallel()
	p := &process{
		t: t, dir: t.TempDir(), args: []string{"-addr", address(freePorts(t, 1)), "-store", "mem:"},
		env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
	}
	p.run()
	p.prints("traces are not sent", "http/json")
}
