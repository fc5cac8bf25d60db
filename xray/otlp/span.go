package otlp

import (
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/state"
	"lockstep/xray"
)

// What follows is opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest as JSON, as far
// as it is needed: ids are in hexadecimal, and numbers of 64 bits are texts (OTLP, "JSON Protobuf
// Encoding").

type document struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []attribute `json:"attributes"`
}

type scopeSpans struct {
	Scope scope  `json:"scope"`
	Spans []span `json:"spans"`
}

type scope struct {
	Name string `json:"name"`
}

type span struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	ParentID   string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []attribute `json:"attributes,omitempty"`
	Status     *status     `json:"status,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message,omitempty"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// A value has one of these.
type value struct {
	String string `json:"stringValue,omitempty"`
	Int    string `json:"intValue,omitempty"`
}

// Kinds of spans, and the status of one that failed.
const (
	internal = 1
	server   = 2
	producer = 4
	consumer = 5
	wrong    = 2
)

func text(key, v string) attribute { return attribute{key, value{String: v}} }

func number[N int | uint64](key string, n N) attribute {
	return attribute{key, value{Int: strconv.FormatUint(uint64(n), 10)}}
}

// document is what a batch is sent as. Traces of one process may be of several replicas.
func (e *Exporter) document(batch []xray.Trace) document {
	var all document
	byReplica := make(map[string]int)
	for i := range batch {
		t := &batch[i]
		at, known := byReplica[t.Replica]
		if !known {
			at = len(all.ResourceSpans)
			byReplica[t.Replica] = at
			all.ResourceSpans = append(all.ResourceSpans, resourceSpans{e.resource(t.Replica), []scopeSpans{{Scope: scope{"lockstep/xray"}}}})
		}
		one := &all.ResourceSpans[at].ScopeSpans[0]
		one.Spans = append(one.Spans, spans(t)...)
	}
	return all
}

// resource is what is said of a replica.
func (e *Exporter) resource(replica string) resource {
	r := resource{[]attribute{text("service.name", e.opts.Service), text("service.instance.id", replica)}}
	for _, name := range slices.Sorted(maps.Keys(e.opts.Attributes)) {
		if name != "service.instance.id" {
			r.Attributes = append(r.Attributes, text(name, e.opts.Attributes[name]))
		}
	}
	return r
}

// A tree is the spans of one trace.
type tree struct {
	trace, root string // ids
	spans       []span
}

// add adds a span in the root; one that has no end, or none that is later, is left out.
func (t *tree) add(name string, kind int, from, to time.Time, attributes ...attribute) {
	if from.IsZero() || to.Before(from) {
		return
	}
	t.spans = append(t.spans, span{
		TraceID: t.trace, SpanID: id(8), ParentID: t.root, Name: name, Kind: kind, Start: nanos(from), End: nanos(to), Attributes: attributes,
	})
}

// spans are those of a trace, the root first.
func spans(x *xray.Trace) []span {
	t := tree{trace: id(16), root: id(8)}
	end, at := x.Came, x.Came
	for _, hop := range x.Hops() {
		until := at.Add(hop.Took)
		t.add(hop.Name, internal, at, until)
		at = until
	}
	t.add("publish", producer, x.Sent, x.Taken)
	t.add("broker", internal, x.Sent, x.Back)
	t.add("write to all", internal, x.Rendered, x.Last, number("lockstep.tabs", x.Tabs))
	t.add("paint", internal, x.Written, x.Painted)
	for _, o := range x.Others {
		if x.Back.IsZero() {
			break
		}
		took := max(o.Written, o.Painted)
		t.add("show on "+o.Name, consumer, x.Back, x.Back.Add(took), text("lockstep.replica", o.Name), number("lockstep.tabs", o.Tabs),
			number("lockstep.render_us", int((o.Rendered-o.Rendering).Microseconds())), number("lockstep.write_us", int(o.Written.Microseconds())))
	}
	for _, at := range []time.Time{x.Step.Ended, x.Taken, x.Back, x.Written, x.Last, x.Painted} {
		if at.After(end) {
			end = at
		}
	}
	root := span{
		TraceID: t.trace, SpanID: t.root, Name: name(x), Kind: server, Start: nanos(x.Came), End: nanos(end),
		Attributes: []attribute{
			text("lockstep.topic", x.Op.Topic), text("lockstep.action", x.Do), text("lockstep.verdict", x.Verdict.String()),
			text("lockstep.replica", x.Replica), number("lockstep.epoch", x.Step.Epoch), number("lockstep.version", x.Step.Version),
			number("lockstep.store_calls", x.Step.Calls),
		},
	}
	if x.Verdict == state.Refused {
		root.Status = &status{Code: wrong, Message: "refused"}
	}
	return append([]span{root}, t.spans...)
}

// name says what was done to what kind of state: there are few of them, and many topics.
func name(x *xray.Trace) string {
	kind, _, _ := strings.Cut(x.Op.Topic, ":")
	return kind + " " + x.Do
}

func nanos(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 10) }

// id is a random id of some bytes, which is not 0.
func id(bytes int) string {
	b := make([]byte, 0, 16)
	for len(b) < bytes {
		n := rand.Uint64() | 1
		for shift := 0; shift < 64; shift += 8 {
			b = append(b, byte(n>>shift))
		}
	}
	return hex.EncodeToString(b)
}
