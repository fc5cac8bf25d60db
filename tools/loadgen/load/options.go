package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/internal/workers"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// The kinds of errors of Run that a caller may want to tell apart, by errors.Is.
var (
	// ErrUsage says that the options are not possible.
	ErrUsage = errors.New("not possible")
	// ErrUnreachable says that a target could not be reached, or is not what the protocol expects.
	ErrUnreachable = errors.New("target not usable")
)

// Defaults of Options.
const (
	DefaultSettle     = 10 * time.Second // of Options.Settle, for most
	DefaultPerProcess = 15_000           // tabs, of Options.PerProcess
)

// usageError is what Run returns for options that are not possible.
func usageError(err error) error { return fmt.Errorf("load: %w: %w", ErrUsage, err) }

// defaultPatience is the default of Options.Patience.
const defaultPatience = 30 * time.Second

// Options say what a load is. They must not be changed while it runs.
type Options struct {
	// Targets are URLs of replicas or of a balancer, at least one. Tabs are spread over them
	// evenly.
	Targets []string
	// Plan says who clicks when; its seed is part of the report.
	Plan workload.Plan
	// Protocol is how the pages work; nil: protocol.Lockstep.
	Protocol protocol.Protocol
	// Counters is the number of pages that the tabs are spread over; 0: 1.
	Counters int
	// Repeat is the share of clicks that are sent twice at once, to see that they count once, where
	// the protocol has ids.
	Repeat float64
	// Settle is how long the tabs have for becoming equal after the last click; 0: LeastSettle.
	Settle time.Duration
	// Patience is how long tabs may need for joining beyond the ramp; 0: 30 s.
	Patience time.Duration
	// Wait is how long the targets may take to answer at all, at first; 0: not at all.
	Wait time.Duration
	// OverHTTP has the tabs do without websockets, as pages do in networks that let none through:
	// over plain HTTP, with a stream and exchanges. The protocol must know of that.
	OverHTTP bool
	// Header goes with every request to the hosts of the targets, and to no other; nil: none. It is
	// in no report. Cookies of a page come beside those in it.
	Header http.Header
	// TLS is for https targets; nil: the default.
	TLS *tls.Config
	// Worker makes the command that runs a share of the tabs by Work with the same options, over
	// its standard input and output; nil: all tabs are of this process.
	Worker func() *exec.Cmd
	// PerProcess is how many tabs there are in a process before there is another, given Worker; 0:
	// DefaultPerProcess, or less if fewer files may be open.
	PerProcess int
	// Thresholds are what the report has to keep to; nil: nothing but the verdicts.
	Thresholds Thresholds
	// Progress is called with how the run stands, when tabs begin to join and then once a second,
	// by one goroutine. The run waits for it. Nil: it is not called.
	Progress func(Progress)
	// Command is for the report; "" if there was none.
	Command string

	plain bool // for tests: a goroutine for each connection
	// quiet is for tests: how many observations with nothing new, after all clicks have their
	// answers, end the wait for tabs that never become equal. 0: Settle does.
	quiet int
}

// LeastSettle is the default of Settle: DefaultSettle, and the pause between two questions of a
// hidden tab without a websocket if there are such tabs. At boards it is the time by which what
// should be forgotten would have been shown again, whatever Settle says.
func (o *Options) LeastSettle() time.Duration {
	if p, ok := o.Protocol.(protocol.Caster); ok && p.Traits().Kind == protocol.Board {
		return 2 * p.Forget()
	}
	if o.OverHTTP && o.Plan.Hidden > 0 {
		return DefaultSettle + browser.HiddenPause
	}
	return DefaultSettle
}

// settings are valid options with their defaults.
type settings struct {
	Options
	targets   []*url.URL
	processes int
	sources   bool
}

// check fills in the defaults. Its error is ErrUsage.
func (o Options) check() (settings, error) {
	if o.Protocol == nil {
		o.Protocol = protocol.Lockstep{}
	}
	o.Counters = max(1, o.Counters)
	o.Settle, o.Patience = orDefault(o.Settle, o.LeastSettle()), orDefault(o.Patience, defaultPatience)
	s := settings{Options: o, processes: 1}
	if err := s.validate(); err != nil {
		return s, usageError(err)
	}
	s.sources = s.manyPorts()
	return s, nil
}

// validate says what is wrong with the options, and parses the targets.
func (s *settings) validate() error {
	if err := s.Plan.Validate(); err != nil {
		return err
	}
	if len(s.Targets) == 0 {
		return errors.New("there is no target: give the URL of a page, such as http://localhost:8000")
	}
	if s.OverHTTP && !s.Protocol.Traits().OverHTTP {
		return errors.New("pages of this protocol can't do without their socket")
	}
	if !(s.Repeat >= 0 && s.Repeat <= 1) {
		return fmt.Errorf("repeat is %g: it is a share of the clicks, from 0 to 1", s.Repeat)
	}
	if n := s.Plan.Slots() / len(s.Targets); s.Counters > max(1, n) {
		return fmt.Errorf("%d counters for %d tabs of each target: some would have no tab", s.Counters, n)
	}
	for _, t := range s.Targets {
		u, err := parseTarget(t)
		if err != nil {
			return err
		}
		s.targets = append(s.targets, u)
	}
	return nil
}

// Work makes this process a worker of the load whose Options.Worker started it, with the same
// options: it has a share of the tabs. It ends when in does, and writes nothing but answers to out.
// Errors are ErrUsage, or those of out.
func Work(o Options, in io.Reader, out io.WriteCloser) error {
	s, err := o.check()
	if err != nil {
		return err
	}
	return workers.Serve(s.browsers(), in, out)
}

// browsers are all tabs of the load.
func (s *settings) browsers() browser.Config {
	return browser.Config{
		Targets: s.targets, Protocol: s.Protocol, Plan: &s.Plan, Counters: s.Counters,
		Repeat: s.Repeat, Header: s.Header, TLS: s.TLS, OverHTTP: s.OverHTTP, Plain: s.plain, Sources: s.sources,
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func parseTarget(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("a target is not a URL such as http://localhost:8000") // it may have a password
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		meant := ""
		if host, _, err := net.SplitHostPort(s); err == nil && host != "" {
			meant = ": did you mean http://" + s + "?"
		}
		return nil, fmt.Errorf("target %q is not the URL of a page, such as http://localhost:8000%s", u.Redacted(), meant)
	}
	return u, nil
}

// names are the targets without their passwords.
func (s *settings) names() (all []string) {
	for _, u := range s.targets {
		all = append(all, u.Redacted())
	}
	return all
}

// spareFiles are those that a process needs beside the sockets of its tabs.
const spareFiles = 400

// filesPerTab is how many connections a tab may have at a time: over plain HTTP a stream and an
// exchange.
func (s *settings) filesPerTab() int {
	if s.OverHTTP {
		return 2
	}
	return 1
}

// split decides how many processes there are.
func (s *settings) split() error {
	tabs := s.Plan.Slots()
	files := openFiles()
	each := s.filesPerTab()
	if s.Worker == nil {
		if need := each*tabs + spareFiles; need > files {
			return fmt.Errorf("%d tabs need %d open files, and this process may have %d: raise that (ulimit -n %d)", tabs, each*tabs, files, need)
		}
		return nil
	}
	per := s.PerProcess
	if per <= 0 {
		per = DefaultPerProcess
	}
	if per = min(per, (files-spareFiles)/each); per < 1 {
		return fmt.Errorf("this process may have %d open files, which is not enough for any tab: raise that (ulimit -n %d)", files, each*tabs+spareFiles)
	}
	s.processes = (tabs + per - 1) / per
	return nil
}

// portsOfAnAddress is how many connections a pair of addresses has room for, with some to spare.
const portsOfAnAddress = 20_000

// manyPorts reports whether the tabs need more than one source address, and can have it.
func (s *settings) manyPorts() bool {
	if s.OverHTTP || runtime.GOOS != "linux" || s.Plan.Slots()/len(s.targets) <= portsOfAnAddress {
		return false
	}
	for _, u := range s.targets {
		if ip, err := netip.ParseAddr(u.Hostname()); err != nil || !ip.Is4() || !ip.IsLoopback() {
			return false
		}
	}
	return true
}

// tooManyPorts is a warning if the tabs need more source addresses than they can have; "" if not.
func (s *settings) tooManyPorts() string {
	n := s.Plan.Slots() / len(s.targets)
	if n <= portsOfAnAddress || s.sources {
		return ""
	}
	var names []string
	for _, u := range s.targets {
		names = append(names, u.Host)
	}
	return fmt.Sprintf("%d tabs of one target: a machine has some 28,000 ports for each address (%s); over loopback 127.0.0.1 in the URL has more",
		n, strings.Join(names, ", "))
}
