// Package arch holds the structure of the tree as a test: which package may
// import which, and what compiles for the browser. Run it with -count=1: the
// test cache does not see what "go list" reads.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/short"
)

const module = "lockstep"

// rule says what the packages below a path may import of this module, tests
// not included. The longest path that fits a package is its rule.
type rule struct {
	below string
	may   []string // paths; each allows all below it but not itself when it ends in "/"
	why   string
}

// rules are the arrows of ARCHITECTURE.md: they point down only.
var rules = []rule{
	{"cmd/web", []string{"app", "internal/flags", "internal/limit", "internal/loglimit", "internal/origin", "internal/pause", "internal/pgclient", "internal/redisclient", "internal/version", "live", "precondition", "pubsub", "state", "static", "static/compile", "upload"}, "the command chooses the backends and puts everything together"},
	{"cmd/wasm", []string{"app", "components", "live", "pubsub", "state/"}, "the command chooses the backends and puts everything together"},
	{"app/web", []string{"app", "components", "htmx", "internal/limit", "internal/origin", "live", "precondition", "state", "static"}, "HTTP is the edge: it chooses no backends"},
	{"app", []string{"components", "htmx", "internal/pause", "live", "presence", "pubsub", "pubsub/driver", "soft", "state"}, "the application is free of transports and backends"},
	{"components", []string{"htmx"}, "components are pure functions of plain values"},
	{"live/wslive", []string{"htmx", "internal/origin", "live"}, "a transport moves messages and no more"},
	{"live/httplive", []string{"htmx", "live"}, "a transport moves messages and no more"},
	{"live/jslive", []string{"live", "htmx"}, "a transport moves messages and no more"},
	{"live/jsmain", []string{"live", "live/jslive"}, "what programs for browsers have in common knows no application"},
	{"live/transporttest", []string{"live", "htmx"}, "a suite tests transports and knows none"},
	{"live/livetest", []string{"htmx", "live"}, "a fake browser is a transport"},
	{"live", []string{"htmx", "internal/pause", "internal/repeats", "pubsub"}, "the runtime is free of transports and of the application"},
	{"htmx", nil, "the wire format depends on nothing"},
	{"tools/module", nil, "a rename depends on nothing that it renames"},
	{"presence", []string{"internal/repeats", "pubsub"}, "presence is soft state over pubsub"},
	{"soft", []string{"internal/repeats", "pubsub", "pubsub/driver"}, "soft values are state over pubsub, and nothing else"},
	{"static/build", []string{"static/internal"}, "the build depends on nothing else of this module"},
	{"static/wasmbuild", []string{"static/internal/pack", "static/internal/progress", "static/internal/wasm"}, "it needs no module that a server does without"},
	{"static/compile", []string{"static", "static/internal/pack", "static/internal/progress"}, "a server runs the compiler, and has nothing of it in it"},
	{"static/internal/bundle", []string{"static/internal/pack"}, "the bundle is made of files"},
	{"upload", nil, "files arrive over HTTP, and nothing else is known of who sends them"},
	{"static", nil, "assets depend on nothing"},
	{"pubsub/driver", nil, "the contract depends on nothing"},
	{"pubsub/drivertest", []string{"pubsub/driver"}, "the suite tests the contract and knows no hub"},
	{"pubsub/pubsubtest", []string{"pubsub/driver", "pubsub/mempubsub"}, "a recorder is a driver"},
	{"pubsub/pgpubsub", []string{"internal/pgclient", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/redispubsub", []string{"internal/redisclient", "precondition", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/", []string{"pubsub/driver"}, "drivers know the contract only, not the hub and not each other"},
	{"pubsub", []string{"internal/pause", "internal/repeats", "pubsub/driver"}, "the hub knows no backend"},
	{"state/pgstate", []string{"internal/pgclient", "precondition", "state"}, "stores know the contract only"},
	{"state/statetest", []string{"internal/pause", "state"}, "a suite tests stores and knows none"},
	{"state/redisstate", []string{"internal/redisclient", "precondition", "state"}, "stores know the contract only"},
	{"state/", []string{"state"}, "stores know the contract only, not each other"},
	{"state", []string{"internal/repeats"}, "states depend on nothing"},
	{"internal/docs", nil, "documents are tested from outside"},
	{"internal/outside", nil, "a user of this module is outside of it"},
	{"internal/history", nil, "a history is judged from outside"},
	{"internal/items", []string{"internal/history"}, "what a page shows of items is read from outside"},
	{"internal/flags", nil, "flags know no program"},
	{"internal/limit", nil, "limits know addresses and nothing else"},
	{"internal/loglimit", nil, "a log handler depends on nothing"},
	{"internal/origin", nil, "whose page it is depends on headers and nothing else"},
	{"internal/repeats", nil, "a counter depends on nothing"},
	{"internal/pause", nil, "a pause depends on nothing"},
	{"internal/pgclient", []string{"precondition"}, "a client's settings depend on nothing but how to say what a server is"},
	{"internal/redisclient", []string{"precondition"}, "a client's settings depend on nothing but how to say what a server is"},
	{"precondition", nil, "a vocabulary depends on nothing"},
	{"internal/version", nil, "a version is a number"},
	{"tools/dev", nil, "the development server runs the product and imports nothing of it"},
	{"tools/loadgen/load/internal/browser", []string{"htmx", "tools/loadgen/load/internal/latency", "tools/loadgen/load/internal/schedule", "tools/loadgen/load/protocol", "tools/loadgen/load/workload"}, "tabs do what a plan says over a protocol, and judge nothing"},
	{"tools/loadgen/load/internal/latency", nil, "a distribution depends on nothing"},
	{"tools/loadgen/load/internal/schedule", []string{"tools/loadgen/load/workload"}, "a schedule is arithmetic on a plan"},
	{"tools/loadgen/load/internal/workers", []string{"tools/loadgen/load/internal/browser", "tools/loadgen/load/protocol", "tools/loadgen/load/workload"}, "workers spread tabs over processes, and judge nothing"},
	{"tools/loadgen/load/protocol", []string{"internal/history", "internal/items"}, "a protocol is the meaning of bytes"},
	{"tools/loadgen/load/workload", nil, "a plan is arithmetic"},
	{"tools/loadgen/load", []string{"internal/history", "tools/loadgen/load/"}, "a load is judged from outside: it knows the wire, not the product"},
	{"tools/loadgen/internal/planted", nil, "a server with planted bugs depends on nothing it tests"},
	{"tools/loadgen", []string{"internal/flags", "internal/version", "tools/loadgen/load"}, "a thin command over its library"},
	{"internal/short", nil, "what -short means depends on nothing"},
	{"internal/testserver", []string{"internal/short"}, "test servers depend on nothing of the product"},
}

// portable are the packages that the browser build consists of, with all
// below them that is not a backend or a transport of a server.
var portable = []string{
	"app", "cmd/wasm", "components", "htmx", "live", "live/jslive", "live/jsmain",
	"presence", "pubsub", "pubsub/driver", "pubsub/jspubsub", "pubsub/mempubsub", "soft", "state", "state/idbstate", "state/memstate",
}

// notPortable must not be imported by them: they are for servers.
var notPortable = []string{"net/http", "github.com/labstack/echo", "github.com/redis", "github.com/jackc", "github.com/coder/websocket", "go.etcd.io", "github.com/prometheus", "database/sql", "os/exec"}

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// browsers is what has Go build for them.
var browsers = []string{"GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0"}

// list returns the packages of the workspace as they are built here, and for
// browsers: some are for one of these only.
func list(t *testing.T) []pkg {
	t.Helper()
	return append(listFor(t), listFor(t, browsers...)...)
}

func listFor(t *testing.T, env ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "work")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// local returns a path inside the module, or false.
func local(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// covers reports whether a rule's path covers a package: "a" covers a and all
// below it, "a/" only what is below it.
func covers(below, p string) bool {
	if strings.HasSuffix(below, "/") {
		return strings.HasPrefix(p, below)
	}
	return p == below || strings.HasPrefix(p, below+"/")
}

func ruleOf(p string) (best rule, ok bool) {
	for _, r := range rules {
		if covers(r.below, p) && len(r.below) > len(best.below) {
			best, ok = r, true
		}
	}
	return best, ok
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range list(t) {
		from, ok := local(p.ImportPath)
		if !ok || strings.HasPrefix(from, "internal/arch") {
			continue
		}
		r, ok := ruleOf(from)
		if !ok {
			t.Errorf("%s has no place in the house: add a rule, and a line in ARCHITECTURE.md", from)
			continue
		}
		for _, i := range p.Imports {
			to, ok := local(i)
			if !ok {
				continue
			}
			if !slices.ContainsFunc(r.may, func(m string) bool { return covers(m, to) }) {
				t.Errorf("%s imports %s, and must not: %s", from, to, r.why)
			}
		}
	}
}

func TestOnlyTheEdgeKnowsEcho(t *testing.T) {
	for _, p := range list(t) {
		for _, i := range p.Imports {
			if from, _ := local(p.ImportPath); strings.HasPrefix(i, "github.com/labstack/echo") && from != "app/web" {
				t.Errorf("%s imports %s: only app/web may, so that another router is a change of one package", from, i)
			}
		}
	}
}

func TestOnlyBackendsKnowTheirClients(t *testing.T) {
	clients := map[string][]string{
		"github.com/redis/":          {"internal/redisclient", "pubsub/redispubsub", "state/redisstate"},
		"github.com/jackc/":          {"cmd/web", "internal/pgclient", "pubsub/pgpubsub", "state/pgstate"},
		"go.etcd.io/":                {"state/boltstate"},
		"github.com/coder/websocket": {"live/wslive", "tools/loadgen/internal/planted"},
		"github.com/prometheus/":     {"app/web", "tools/loadgen"},
		"github.com/HdrHistogram/":   {"tools/loadgen/load/internal/latency"},
		"github.com/andybalholm/":    {"app/web", "static", "static/internal/pack", "tools/loadgen/load/protocol"},
		"github.com/goccy/go-yaml":   {"tools/loadgen/load/workload"},
		"github.com/chromedp/":       nil, // what e2e needs is in a module of its own
		"github.com/a-h/templ":       {"components"},
	}
	for _, p := range list(t) {
		from, _ := local(p.ImportPath)
		for _, i := range p.Imports {
			for client, may := range clients {
				if strings.HasPrefix(i, client) && !slices.Contains(may, from) {
					t.Errorf("%s imports %s: only %v may", from, i, may)
				}
			}
		}
	}
}

func TestPortablePackagesImportNothingOfServers(t *testing.T) {
	for _, p := range list(t) {
		from, _ := local(p.ImportPath)
		if !slices.Contains(portable, from) {
			continue
		}
		for _, i := range p.Imports {
			if slices.ContainsFunc(notPortable, func(n string) bool { return covers(n, i) }) {
				t.Errorf("%s imports %s, which is for servers", from, i)
			}
		}
	}
}

func TestPortablePackagesBuildForTheBrowser(t *testing.T) {
	short.Skip(t, "compiles the program")
	args := []string{"build"}
	for _, p := range portable {
		args = append(args, "./"+p)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), browsers...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t) {
		name, _ := local(p.ImportPath)
		if p.Doc == "" && name != "internal/arch" {
			t.Errorf("%s has no package comment", name)
		}
	}
}

// The generator of templates must be of the version that renders them: it is a
// tool, so it is listed where no importer of this module sees it.
func TestTheTemplateGeneratorIsOfTheVersionThatIsUsed(t *testing.T) {
	versions := make(map[string]string)
	for _, file := range []string{"go.mod", "tools.mod"} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "github.com/a-h/templ" {
				versions[file] = f[1]
			}
		}
	}
	if versions["go.mod"] == "" || versions["go.mod"] != versions["tools.mod"] {
		t.Errorf("templ has the versions %v: they must be one", versions)
	}
}
