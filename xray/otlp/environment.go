package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// endpoint is where collectors are by default, and tracesPath where they take traces (OTLP).
const (
	endpoint   = "http://localhost:4318"
	tracesPath = "/v1/traces"
)

// variables are those of the environment that begin with OTEL_.
type variables func(string) string

// of returns what the environment says of traces alone, or else of all that is exported.
func (v variables) of(name string) string {
	return cmp.Or(strings.TrimSpace(v("OTEL_EXPORTER_OTLP_TRACES_"+name)), strings.TrimSpace(v("OTEL_EXPORTER_OTLP_"+name)))
}

// FromEnvironment returns the options that the environment asks for, by the variables that all
// programs with OpenTelemetry know: OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS, …_TIMEOUT,
// …_COMPRESSION and …_PROTOCOL, each also for traces alone (OTEL_EXPORTER_OTLP_TRACES_…),
// OTEL_TRACES_EXPORTER, OTEL_TRACES_SAMPLER and …_ARG, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
// and OTEL_SDK_DISABLED. Nil: it asks for no traces. An error says which variable is wrong; traces
// can't be sent then, and a program may well go on without.
//
// Source: OpenTelemetry specification 1.x, "Environment Variable Specification" and "OTLP Exporter
// Configuration".
func FromEnvironment(getenv func(string) string) (*Options, error) {
	v := variables(getenv)
	exporter, at := strings.TrimSpace(v("OTEL_TRACES_EXPORTER")), v.of("ENDPOINT")
	switch {
	case strings.EqualFold(strings.TrimSpace(v("OTEL_SDK_DISABLED")), "true"), exporter == "none":
		return nil, nil
	case exporter == "" && at == "":
		return nil, nil
	case exporter != "" && exporter != "otlp":
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: traces are sent by otlp alone", exporter)
	}
	if p := v.of("PROTOCOL"); p != "" && p != "http/json" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: traces are sent as http/json alone, which collectors take on port 4318", p)
	}
	o := &Options{Ratio: 1}
	return o, errors.Join(o.target(v), o.resource(v), o.sampler(v))
}

// target reads where traces are sent, and how.
func (o *Options) target(v variables) (err error) {
	o.URL = strings.TrimSpace(v("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
	if o.URL == "" {
		base := cmp.Or(strings.TrimSpace(v("OTEL_EXPORTER_OTLP_ENDPOINT")), endpoint)
		o.URL = strings.TrimRight(base, "/") + tracesPath
	}
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is no address like " + endpoint)
	}
	if o.Headers, err = pairs(v.of("HEADERS")); err != nil {
		return errors.New("OTEL_EXPORTER_OTLP_HEADERS is no list like name=value,name=value") // a value may be a secret
	}
	if text := v.of("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT is %q: it is a number of milliseconds", text)
		}
		o.Timeout = time.Duration(ms) * time.Millisecond
	}
	switch text := v.of("COMPRESSION"); text {
	case "", "none":
	case "gzip":
		o.Gzip = true
	default:
		return fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION is %q: there are gzip and none", text)
	}
	return nil
}

// resource reads what the program is called.
func (o *Options) resource(v variables) (err error) {
	if o.Attributes, err = pairs(v("OTEL_RESOURCE_ATTRIBUTES")); err != nil {
		return errors.New("OTEL_RESOURCE_ATTRIBUTES is no list like name=value,name=value")
	}
	o.Service = cmp.Or(strings.TrimSpace(v("OTEL_SERVICE_NAME")), o.Attributes["service.name"])
	delete(o.Attributes, "service.name")
	return nil
}

// sampler reads which ops are followed. None has a parent: browsers send none.
func (o *Options) sampler(v variables) error {
	switch name := strings.TrimPrefix(strings.TrimSpace(v("OTEL_TRACES_SAMPLER")), "parentbased_"); name {
	case "", "always_on":
	case "always_off":
		o.Ratio = -1
	case "traceidratio":
		text := strings.TrimSpace(v("OTEL_TRACES_SAMPLER_ARG"))
		ratio, err := strconv.ParseFloat(cmp.Or(text, "1"), 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q: it is a number from 0 to 1", text)
		}
		if o.Ratio = ratio; ratio == 0 {
			o.Ratio = -1
		}
	default:
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %q: there are always_on, always_off and traceidratio, each with parentbased_ before it or not", name)
	}
	return nil
}

var errPairs = errors.New("otlp: not a list of pairs")

// pairs reads a list "name=value,name=value" as in W3C Baggage: values may be percent-encoded.
func pairs(text string) (map[string]string, error) {
	all := make(map[string]string)
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil {
			return nil, errPairs
		}
		all[name] = value
	}
	return all, nil
}
