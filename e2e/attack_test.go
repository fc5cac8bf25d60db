package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// An attack is one thing that somebody hostile tries. It runs twice: against
// the program, which must repel it, and against the program without the guards
// that stand in its way, where it must succeed. Otherwise it would show nothing.
type attack struct {
	name string
	// flags of the program, beside the usual.
	flags []string
	// guards are what is taken away for the second run: more than one where
	// several layers stand. None: there is nothing that could be taken away, and
	// why says so.
	guards []guard
	why    string
	// given are guards that are away in both runs, because they stand in front of
	// the one that is tried.
	given []guard
	// flood: an honest tab clicks while it lasts, is never hurt, and is measured.
	flood bool
	// long: it takes so long that only "make attack" tries it.
	long bool
	// needs is, in a word, what it aims at that only some applications have; "": all have it.
	needs string
	// others says what an honest stranger can have meanwhile.
	others others
	// redis puts the program on a Redis of its own, which the attacker may use.
	redis bool
	// store makes the program's store and returns its URL; nil: in memory.
	store func(v *victim) string
	// refused is the metric that must have counted what was refused; "": none does.
	refused string
	// run returns nil when the attack is repelled. An error says what the attacker
	// has achieved. What keeps it from being tried fails the test.
	run func(v *victim) error
}

// others is what an honest stranger can have while a flood lasts.
type others int

const (
	haveAll   others = iota // a page and a socket
	havePages               // there may be no room for more tabs
	haveNone                // there may be no room at all
)

// attacks are all of them but those that need a browser, in the order of the
// table.
func attacks(a *target) []attack {
	return slices.Concat(sessionAttacks(), formAttacks(), forwardingAttacks(), floodAttacks(), shareAttacks(), slowAttacks(),
		frameAttacks(), plainAttacks(), opAttacks(), listAttacks(a), logAttacks(), readerAttacks(), pageAttacks(a), httpAttacks(a), brokerAttacks(), adminAttacks())
}

// TestAttacks lets every attack loose on the demo and on an example of the kit,
// with and without the guards against it. "make attack" does so for longer, and
// writes the table.
func TestAttacks(t *testing.T) {
	if l, err := net.Listen("tcp", net.JoinHostPort(hostile, "0")); err != nil {
		t.Skip("a loopback network with several addresses is needed:", err)
	} else {
		_ = l.Close()
	}
	var suites []*suite
	for _, a := range targets() {
		s := newSuite(a)
		suites = append(suites, s)
		t.Run(a.name, func(t *testing.T) {
			s.build(t)
			t.Run("are repelled", func(t *testing.T) { s.each(t, true, s.repelled) })
			if a.often || attackFull() { // the others share its guards
				t.Run("succeed without their guards", func(t *testing.T) { s.each(t, false, s.succeeds) })
			}
		})
	}
	writeAttackTable(t, suites)
}

// A suite runs attacks on a target and notes what came of them.
type suite struct {
	// set once
	app            *target
	plain, browser []attack
	program        string           // as it is released
	switched       string           // the same, whose guards can be taken away
	ids            map[guard]string // by which it knows them

	mu      sync.Mutex
	results map[string]*attackResult // by the attack's name
}

func newSuite(a *target) *suite {
	return &suite{app: a, plain: attacks(a), browser: browserAttacks(a), results: make(map[string]*attackResult)}
}

// all returns the attacks in the order of the table.
func (s *suite) all() []attack { return slices.Concat(s.plain, s.browser) }

// each runs f for every attack: several at a time, but for floods that are
// measured.
func (s *suite) each(t *testing.T, measured bool, f func(t *testing.T, chromium context.Context, a attack)) {
	measured = measured && (s.app.often || attackFull())
	for _, a := range s.plain {
		if a.flood && measured {
			t.Run(a.name, func(t *testing.T) { f(t, nil, a) })
		}
	}
	t.Run("in Chromium", func(t *testing.T) {
		chromium := newBrowser(t)
		for _, a := range s.browser {
			t.Run(a.name, func(t *testing.T) { f(t, chromium, a) })
		}
	})
	for _, a := range s.plain {
		if !a.flood || !measured {
			t.Run(a.name, func(t *testing.T) { t.Parallel(); f(t, nil, a) })
		}
	}
}

// repelled runs an attack against the program as it is.
func (s *suite) repelled(t *testing.T, chromium context.Context, a attack) {
	v := s.victim(t, a, a.given)
	v.chromium, v.armed = chromium, true
	r := s.result(a)
	var w *honestTab
	if a.flood {
		w = v.honestTab(a.others)
		v.ends = time.Now().Add(v.lasts(30*time.Second, 1500*time.Millisecond))
	}
	if err := a.run(v); err != nil {
		t.Errorf("the attacker has achieved this: %v", err)
	}
	if w != nil {
		r.before, r.during = w.end()
	}
	if a.refused != "" {
		eventually(v, a.refused+" to count what was refused", func() error { // which is after the attacker has noticed it
			if v.metric(a.refused) == 0 {
				return errors.New("it has not")
			}
			return nil
		})
	}
	r.held = !t.Failed()
}

// succeeds runs an attack against the program without its guards.
func (s *suite) succeeds(t *testing.T, chromium context.Context, a attack) {
	if len(a.guards) == 0 {
		if a.why == "" {
			t.Error("there is neither a guard nor a reason why there is none")
		}
		return
	}
	v := s.victim(t, a, slices.Concat(a.given, a.guards))
	v.chromium = chromium
	err := a.run(v)
	if err == nil {
		t.Fatal("it is repelled without the guard: something else stands in its way, or it shows nothing")
	}
	s.result(a).achieved = err.Error()
}

// patiently makes an attempt and, where the guard is away, up to twenty: what chance decides
// succeeds in one of them.
func (v *victim) patiently(attempt func() error) error {
	for range 20 {
		if err := attempt(); err != nil || v.armed {
			return err
		}
	}
	return nil
}

func (s *suite) result(a attack) *attackResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.results[a.name] == nil {
		s.results[a.name] = &attackResult{}
	}
	return s.results[a.name]
}

// A victim is a running program under attack.
type victim struct {
	*testing.T
	app      *target
	full     bool // long floods, as "make attack" has them
	armed    bool // the guards are in their places
	p        *process
	admin    string // http://host:port
	ends     time.Time
	broker   string            // URL of its Redis
	way      *testserver.Proxy // to its store; nil: there is none
	chromium context.Context

	mu       sync.Mutex
	visitors map[string]*visitor // by address
	sockets  map[string]string   // by page: the path of its socket
}

// victim starts the program without some of its guards.
func (s *suite) victim(t *testing.T, a attack, removed []guard) *victim {
	t.Helper()
	if !attackFull() && (a.long || a.store != nil && !s.app.often) {
		t.Skip("it takes long, and is for make attack")
	}
	if s.app.lacks(a.needs) {
		t.Skip("there is nothing to aim at: no " + a.needs)
	}
	admin := address(testserver.FreePort(t))
	v := &victim{T: t, app: s.app, full: attackFull(), admin: "http://" + admin, visitors: make(map[string]*visitor), sockets: make(map[string]string)}
	broker, store, prefix := "", "mem:", ""
	switch {
	case a.redis:
		v.broker = testserver.Redis(t, "--appendonly", "no").URL
		broker, store, prefix = v.broker, "", attackPrefix
	case a.store != nil:
		store = a.store(v)
	}
	args, env := s.app.backends(broker, store, prefix)
	args = append(args, "-addr", address(freePorts(t, 3)), "-admin", admin, "-drain", "0s", "-exempt", auditor)
	v.p = &process{t: t, dir: t.TempDir(), args: append(args, a.flags...), env: env, path: s.program}
	if len(removed) > 0 {
		v.p.path, v.p.env = s.switched, append(env, s.without(removed))
	}
	v.p.run()
	// It listens after the replicas do, which is when run returns.
	eventually(t, "the admin address", func() error {
		code, body := get(t, v.admin+"/healthz")
		if code != http.StatusOK {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	return v
}

// attackPrefix is the channel prefix of a victim on Redis.
const attackPrefix = "attacked:"

func attackFull() bool { return os.Getenv("LOCKSTEP_ATTACK") == "full" }

func (v *victim) lasts(full, quick time.Duration) time.Duration {
	if v.full {
		return full
	}
	return quick
}

// rounds are what a flood consists of: at least one, and as many as there is
// time for.
func (v *victim) rounds(yield func(int) bool) {
	for i := 0; i == 0 || time.Now().Before(v.ends); i++ {
		if !yield(i) {
			return
		}
	}
}

// host is what a browser writes into Host.
func (v *victim) host() string { return v.p.addr() }

// page, topic and newOpOn are those of the target for a name.
func (v *victim) page(name string) string    { return v.app.page(name) }
func (v *victim) topic(name string) string   { return v.app.topic(name) }
func (v *victim) newOpOn(name string) wireOp { return v.app.op(name) }

// newOp is newOpOn the lobby.
func (v *victim) newOp() wireOp { return v.newOpOn("lobby") }

// value returns what the page of a name says.
func (v *victim) value(name string) count {
	v.Helper()
	a := v.from(auditor).get(v.page(name))
	now, ok := v.app.read(a.body)
	if !ok {
		v.Fatalf("the page does not say what was counted: %d %s", a.status, a.body)
	}
	return now
}

// count returns how much the page of a name has counted.
func (v *victim) count(name string) int64 { v.Helper(); return v.value(name).N }

// counted returns an error if what has a name is not at 0: an attacker has changed it.
func (v *victim) counted(name string) error {
	v.Helper()
	if n := v.count(name); n != 0 {
		return fmt.Errorf("the count was changed to %d", n)
	}
	return nil
}

// metric returns the sum of a metric's values of which the line begins like
// that.
func (v *victim) metric(begins string) (sum float64) {
	v.Helper()
	code, body := get(v, v.admin+"/metrics")
	if code != http.StatusOK {
		v.Fatalf("metrics: %d %s", code, body)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, begins) {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				v.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// An attackResult is what came of one attack.
type attackResult struct {
	held           bool
	achieved       string // without the guard
	before, during latencies
}

// ratio is how much longer the slowest clicks of the honest tab took.
func (r *attackResult) ratio() string {
	if r.before.p99 == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f ×", float64(r.during.p99)/float64(r.before.p99))
}

const attackTableHead = `# What make attack tried

Written by the last run; docs/security.md explains it. Each attack ran against a target, the demo or
an example of the kit, and against the same without the guard. A flood lasted 30 s; an honest tab
clicked 20 times a second before and while it lasted: each of its clicks was counted once, and it was
never cut off. Program, attackers and the honest tab share one machine of %d cores.
`

const attackTableColumns = `
| attack | guard | repelled | without the guard | honest tab before | while it lasted | p99 |
|---|---|---|---|---|---|---|
`

// writeAttackTable writes a table for each target into the file that LOCKSTEP_ATTACK_TABLE names.
func writeAttackTable(t *testing.T, suites []*suite) {
	path := os.Getenv("LOCKSTEP_ATTACK_TABLE")
	if path == "" {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, attackTableHead, runtime.NumCPU())
	for _, s := range suites {
		s.write(&b)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// write writes the table of one target, and what was not tried on it.
func (s *suite) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n%s", s.app.name, attackTableColumns)
	var none []attack
	for _, a := range s.all() {
		if s.app.lacks(a.needs) {
			none = append(none, a)
			continue
		}
		r := s.result(a)
		verdict := "**NO**"
		if r.held {
			verdict = "yes"
		}
		achieved := r.achieved
		if len(a.guards) == 0 {
			achieved = "—"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n",
			cell(a.name), cell(a.guardText()), verdict, cell(achieved), r.before, r.during, r.ratio())
	}
	if len(none) > 0 {
		fmt.Fprintf(b, "\nNot tried here, because there is nothing to aim at:\n\n| attack | it needs |\n|---|---|\n")
	}
	for _, a := range none {
		fmt.Fprintf(b, "| %s | %s |\n", cell(a.name), a.needs)
	}
}

// guardText names what stands in the way of an attack.
func (a attack) guardText() string {
	if len(a.guards) == 0 {
		return "nothing to take away: " + a.why
	}
	var names []string
	for _, g := range a.guards {
		name := g.what
		if len(a.guards) <= 3 {
			name += " (`" + g.file + "`)"
		}
		names = append(names, name)
	}
	text := strings.Join(names, "; and ")
	if len(a.given) > 0 {
		var gone []string
		for _, g := range a.given {
			gone = append(gone, g.what)
		}
		text += "; alone, without " + strings.Join(gone, " and ")
	}
	return text
}

// cell makes text fit into a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
