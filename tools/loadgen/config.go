package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"lockstep/internal/flags"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// A config has what the arguments say.
type config struct {
	options    load.Options
	findMax    load.Thresholds // nil: no search
	raise      string          // what a search raises: "rate" or "browsers"
	json, html string          // files
	prometheus string          // address
	version    bool            // print it and exit
	check      string          // file with a history to judge; "": there is none
}

const help = `Opens tabs on a live page, clicks in them, and says whether all stayed in step, and how fast.

  loadgen [flags] URL...
  loadgen -check FILE

The URLs are replicas, or a balancer. A run takes -ramp, then -duration (10 s with the defaults),
and then until all tabs are equal, -settle at most. docs/loadgen.md says how to read a report.

Exit code: 0 it held, 1 a verdict or a threshold failed, or there was too little to judge, 2 wrong
usage, 3 the target was not reachable, 4 a report could not be written, 130 it was interrupted.
`

// parsed are the flags that become options together with others.
type parsed struct {
	browsers                        int
	ramp, duration                  time.Duration
	rate, scenario, expect, findMax string
	protocol, selector, click, path string
	kind                            string
	transport                       string
	watchers, slow, hidden, churn   float64
	poisson, insecure               bool
	seed                            uint64
	login                           login
}

// parseConfig reads the arguments. flag.ErrHelp says that help was asked for, and written to out.
func parseConfig(args []string, out io.Writer) (config, error) {
	var c config
	var f parsed
	fs := flags.New("loadgen")
	c.defineAll(fs, &f)
	err := fs.Parse(flags.Words(args))
	if errors.Is(err, flag.ErrHelp) {
		fs.Help(out, help)
		return c, err
	}
	if err != nil {
		return c, fmt.Errorf("%w; -h lists all flags", err)
	}
	if c.version || c.check != "" {
		return c, nil // nothing is loaded, so nothing else matters
	}
	given := make(map[string]bool)
	fs.Visit(func(g *flag.Flag) { given[g.Name] = true })
	c.options.Targets = fs.Args()
	return c, f.fill(&c, given, args)
}

// defineAll defines all flags.
func (c *config) defineAll(fs *flags.Grouped, f *parsed) {
	f.defineLoad(fs, c)
	f.defineGoals(fs, c)
	f.defineTarget(fs, c)
	c.define(fs)
}

// defineLoad defines the flags that say what the tabs do.
func (f *parsed) defineLoad(fs *flags.Grouped, c *config) {
	fs.Group("Tabs")
	fs.IntVar(&f.browsers, "browsers", 100, "`tabs` that are open")
	fs.DurationVar(&f.ramp, "ramp", 0, "time over which they join (default 1s for each 500)")
	fs.IntVar(&c.options.Counters, "counters", 1, "`pages` that the tabs are spread over")
	fs.Float64Var(&f.watchers, "watchers", 0, "`share` of the tabs that never click, 0 to 1")
	fs.Float64Var(&f.slow, "slow", 0, "`share` that read only every 2 s")
	fs.Float64Var(&f.hidden, "hidden", 0, "`share` that are in the background")
	fs.Float64Var(&f.churn, "churn", 0, "`tabs` a second that are closed, each followed by a new one")
	fs.Note("browsers", "ramp", "counters", "watchers", "slow", "hidden", "churn")

	fs.Group("Clicks")
	fs.StringVar(&f.rate, "rate", "20", "`clicks` a second, all tabs together: 200, a slope 100..5000, steps 100,200,400")
	fs.DurationVar(&f.duration, "duration", 10*time.Second, "of the load, after the ramp")
	fs.BoolVar(&f.poisson, "poisson", false, "click at random times, not evenly")
	fs.Float64Var(&c.options.Repeat, "repeat", .01, "`share` of the clicks that are sent twice, to see that they count once")
	fs.Uint64Var(&f.seed, "seed", 0, "`number` that repeats the same clicks in the same tabs; 0 is chance, and the report has it")
	fs.StringVar(&f.scenario, "scenario", "", "YAML `file` with stages, in place of -browsers, -ramp, -watchers, -slow, -hidden, -churn, -rate, -duration and -poisson")
	fs.Note("rate", "duration", "poisson", "repeat", "seed", "scenario")
}

// defineGoals defines the flags that say what has to hold.
func (f *parsed) defineGoals(fs *flags.Grouped, c *config) {
	fs.Group("What has to hold")
	fs.StringVar(&f.expect, "expect", "", "`thresholds`, such as p99<250ms,lost=0,converge<1s")
	fs.DurationVar(&c.options.Settle, "settle", load.DefaultSettle, "time that tabs have for becoming equal after the load")
	fs.StringVar(&f.findMax, "find-max", "", "raise the load until these `thresholds` no longer hold, such as p99<200ms, and report the knee")
	fs.StringVar(&c.raise, "raise", "rate", "what -find-max raises: `rate` or browsers")
	fs.Note("expect", "settle", "find-max", "raise")
}

// defineTarget defines the flags that say how to talk to the target.
func (f *parsed) defineTarget(fs *flags.Grouped, c *config) {
	fs.Group("Target")
	fs.StringVar(&f.path, "path", "", "`path` of the pages, {n} is their number (default /c/load-{n}, or that of the URL)")
	fs.Func("header", "`line` that goes with every request to the target, such as 'Authorization: Bearer x', or @file with lines; may be given more than once. No report has its value", f.login.header)
	fs.Func("cookie", "`name=value` that goes with every request to the target, several with ; between them, or @file; may be given more than once. No report has its value", f.login.cookie)
	fs.Secret("header", "cookie")
	fs.BoolVar(&f.insecure, "insecure", false, "accept any certificate")
	fs.DurationVar(&c.options.Wait, "wait", 0, "time that the targets have for answering at all, if they are just being started")
	fs.StringVar(&f.protocol, "protocol", "lockstep", "`kind` of the pages: lockstep, or htmx for any page with a number that comes over htmx")
	fs.StringVar(&f.kind, "kind", "", "`kind` of the pages of -protocol lockstep: counter, poll, bank, list, log or soft (default that of the URL, or counter)")
	fs.StringVar(&f.transport, "transport", "ws", "`way` of the tabs: ws, or http for that of networks which let no websocket through, a stream and exchanges")
	fs.StringVar(&f.selector, "selector", "", "with -protocol htmx: the CSS `selector` of the number")
	fs.StringVar(&f.click, "click", "", "with -protocol htmx: the CSS `selector` of what is clicked (default: the first that sends)")
	fs.Note("path", "header", "cookie", "insecure", "wait", "transport", "protocol", "kind", "selector", "click")
}

// define defines the flags of the generator itself.
func (c *config) define(fs *flags.Grouped) {
	fs.Group("Reports")
	fs.StringVar(&c.json, "json", "", "write the report to a `file`, as JSON")
	fs.StringVar(&c.html, "html", "", "write the report to a `file`, as one page")
	fs.StringVar(&c.prometheus, "prometheus", "", "serve metrics at an `address` while it runs, such as localhost:9100")
	fs.Note("json", "html", "prometheus")

	fs.Group("Others")
	fs.IntVar(&c.options.PerProcess, "per-process", load.DefaultPerProcess, "`tabs` from which on there is another process")
	fs.BoolVar(&c.version, "version", false, "print the version and exit")
	fs.Func("check", "judge a `file` with a history that the demo's \"Try to break it\" has let be downloaded, and exit: 0 it holds, 1 it does not, 2 it is no such file", func(name string) error {
		if c.check = name; name == "" {
			return errors.New("it names no file")
		}
		return nil
	})
	fs.Note("per-process", "check", "version")
}

// fill makes options out of flags.
func (f *parsed) fill(c *config, given map[string]bool, args []string) (err error) {
	if len(c.options.Targets) == 0 {
		return errors.New("there is no target: give the URL of a page, such as http://localhost:8000")
	}
	if i := slices.IndexFunc(c.options.Targets, func(t string) bool { return strings.HasPrefix(t, "-") }); i >= 0 {
		return fmt.Errorf("%s comes after a URL: flags come first", c.options.Targets[i])
	}
	if err := c.bounds(); err != nil {
		return err
	}
	if c.options.Plan, err = f.plan(given); err != nil {
		return err
	}
	if c.options.Plan.Seed == 0 {
		c.options.Plan.Seed = rand.Uint64()>>11 | 1 // a number that JSON readers keep
	}
	if c.options.Protocol, err = f.wire(c.options.Targets, given); err != nil {
		return err
	}
	if f.insecure {
		c.options.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // -insecure asks for it
	}
	if err := f.way(c, given["settle"]); err != nil {
		return err
	}
	c.options.Header = f.login.lines
	c.options.Command = command(args, c.options.Plan.Seed, given["seed"])
	return f.goals(c)
}

// bounds checks what the options would take for their defaults.
func (c *config) bounds() error {
	switch o := &c.options; {
	case o.Counters < 1:
		return fmt.Errorf("-counters %d: the tabs need at least one page", o.Counters)
	case o.Settle <= 0:
		return fmt.Errorf("-settle %v: without time to become equal no tab is judged", o.Settle)
	case o.Wait < 0:
		return fmt.Errorf("-wait %v: it can't be less than 0", o.Wait)
	case o.PerProcess < 1:
		return fmt.Errorf("-per-process %d: a process has at least one tab", o.PerProcess)
	}
	return nil
}

// goals parses the thresholds, and what a search raises.
func (f *parsed) goals(c *config) (err error) {
	if f.expect != "" {
		if c.options.Thresholds, err = load.ParseThresholds(f.expect); err != nil {
			return err
		}
	}
	if c.raise != "rate" && c.raise != "browsers" {
		return fmt.Errorf("-raise %s: rate and browsers can be raised", c.raise)
	}
	if f.findMax == "" {
		return nil
	}
	if c.findMax, err = load.ParseThresholds(f.findMax); err != nil {
		return err
	}
	if s := c.options.Plan.Stages; len(s) != 1 || len(s[0].Rate) != 1 || s[0].Rate[0].From != s[0].Rate[0].To || s[0].Rate[0].From == 0 {
		return errors.New("-find-max raises one constant load: give neither a scenario nor a slope or steps of -rate")
	}
	return nil
}

// plan is that of the flags, or of the scenario.
func (f *parsed) plan(given map[string]bool) (workload.Plan, error) {
	if f.scenario != "" {
		for _, name := range []string{"browsers", "ramp", "rate", "poisson", "duration", "watchers", "slow", "hidden", "churn"} {
			if given[name] {
				return workload.Plan{}, fmt.Errorf("-%s and -scenario don't go together: the scenario says it", name)
			}
		}
		text, err := os.ReadFile(f.scenario)
		if err != nil {
			return workload.Plan{}, err
		}
		p, err := workload.ParseScenario(text)
		if given["seed"] {
			p.Seed = f.seed
		}
		return p, err
	}
	rate, err := workload.ParseRate(f.rate)
	if err != nil {
		return workload.Plan{}, err
	}
	if !given["ramp"] {
		f.ramp = time.Duration(f.browsers) * time.Second / 500
	}
	p := workload.Plan{Seed: f.seed, Poisson: f.poisson, Watchers: f.watchers, Slow: f.slow, Hidden: f.hidden, Stages: []workload.Stage{
		{Browsers: f.browsers, Ramp: f.ramp, Duration: f.duration, Rate: rate, Churn: f.churn},
	}}
	return p, p.Validate()
}

// wire is the protocol. A path of the first URL is that of the page, unless -path is given.
func (f *parsed) wire(targets []string, given map[string]bool) (protocol.Protocol, error) {
	switch f.protocol {
	case "lockstep":
		if given["selector"] || given["click"] {
			return nil, errors.New("-selector and -click are for -protocol htmx")
		}
		kind, err := f.kindOf(targets[0])
		return protocol.Lockstep{Kind: kind, Path: f.path, Own: hasPath(targets[0]) && !given["path"]}, err
	case "htmx":
		if f.kind != "" {
			return nil, errors.New("-kind is for -protocol lockstep: another page has a number")
		}
		if f.selector == "" {
			return nil, errors.New("-protocol htmx needs -selector, the CSS selector of the number on the page, such as '#count'")
		}
		return protocol.NewHTMX(f.path, f.selector, f.click)
	}
	return nil, fmt.Errorf("-protocol %s: there are lockstep and htmx", f.protocol)
}

// kindOf is what the pages show: as -kind says, or the path of the pages.
func (f *parsed) kindOf(target string) (protocol.Kind, error) {
	path := f.path
	if path == "" {
		path = target
	}
	for _, kind := range []protocol.Kind{protocol.Poll, protocol.Bank, protocol.List, protocol.Log, protocol.Board} {
		if f.kind == string(kind) || f.kind == "" && strings.Contains(path, "/"+string(kind)+"/") {
			return kind, nil
		}
	}
	if f.kind != "" && f.kind != protocol.Counter.String() {
		return "", fmt.Errorf("-kind %s: there are counter, poll, bank, list, log and soft", f.kind)
	}
	return protocol.Counter, nil
}

// way fills in how the tabs connect. settled: it was said how long they have for becoming equal.
func (f *parsed) way(c *config, settled bool) error {
	if !settled {
		c.options.Settle = c.options.LeastSettle()
	}
	switch f.transport {
	case "ws":
		return nil
	case "http":
	default:
		return fmt.Errorf("-transport %s: there are ws and http", f.transport)
	}
	if !c.options.Protocol.Traits().OverHTTP {
		return errors.New("-transport http is for -protocol lockstep: other pages have no other way than their own")
	}
	c.options.OverHTTP = true
	if !settled {
		c.options.Settle = c.options.LeastSettle()
	}
	return nil
}

func hasPath(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	_, path, _ := strings.Cut(rest, "/")
	return path != ""
}

// command is the command line that does the run again, without what nobody else may know.
func command(args []string, seed uint64, seeded bool) string {
	words := []string{"loadgen"}
	if !seeded {
		words = append(words, "-seed", fmt.Sprint(seed))
	}
	for _, a := range withoutSecrets(args) {
		if strings.ContainsAny(a, " <>*?&|;$(){}[]'\"\\#!") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// takes says how long the run takes, if all goes well.
func (c config) takes() string {
	plan := &c.options.Plan
	ramp := plan.Stages[0].Ramp
	each := ""
	if c.findMax != nil {
		each = "each step of the search "
	}
	return fmt.Sprintf("%stakes %v: %v to join, %v of load, then at most %v until all tabs are equal", each,
		rounded(ramp+plan.Length()), rounded(ramp), rounded(plan.Length()), c.options.Settle)
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// first is the load that a search begins with.
func (c config) first() float64 {
	s := c.options.Plan.Stages[0]
	if c.raise == "browsers" {
		return float64(s.Browsers)
	}
	return s.Rate[0].From
}

// unit is the unit of the load that a search raises.
func (c config) unit() string {
	if c.raise == "browsers" {
		return "tabs"
	}
	return "clicks/s"
}

// with are the options of one step of a search, which raises the load to n.
func (c config) with(n float64) load.Options {
	o := c.options
	s := o.Plan.Stages[0]
	if c.raise == "browsers" {
		s.Ramp = time.Duration(float64(s.Ramp) * n / float64(max(1, s.Browsers)))
		s.Browsers = max(1, int(n))
	} else {
		s.Rate = workload.Rate{{From: n, To: n}}
	}
	o.Plan.Stages = []workload.Stage{s}
	return o
}
