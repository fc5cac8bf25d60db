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
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/short"
)

const module = "lockstep"

// root is what the package at the root of the module is called, whatever the module's path.
const root = "lockstep"

// rule says what the packages below a path may import of this module, tests
// not included. The longest path that fits a package is its rule.
type rule struct {
	below string
	may   []string // paths; each allows all below it but not itself when it ends in "/"
	why   string
}

// rules are the arrows of ARCHITECTURE.md: they point down only.
var rules = []rule{
	{"cmd/web", []string{"app", "backends", "lockstep", "serve", "serve/ops", "serve/settings", "internal/faults", "internal/fleet", "internal/flags", "internal/history", "internal/keys", "internal/limit", "internal/loglimit", "internal/process", "internal/redisclient", "internal/traces", "internal/version", "live", "natsembedded", "precondition", "pubsub", "pubsub/driver", "pubsub/snssqspubsub", "state", "state/natsstate", "static", "static/compile", "upload", "xray"}, "the command has flags and puts everything together"},
	{"cmd/lockstep", []string{"internal/dev"}, "what begins a program knows the kit by its files, and runs it"},
	{"cmd/wasm", []string{"app", "live", "pubsub", "state/"}, "the command chooses the backends and puts everything together"},
	{"app/web", []string{"app", "components", "docs/site", "live", "lockstep", "serve", "serve/ops", "state", "static"}, "the demo's edge is a router: what every application needs there is in serve"},
	{"app/pages", []string{"htmx"}, "pages are pure functions of plain values"},
	{"app", []string{"app/pages", "htmx", "live", "lockstep", "pubsub/driver", "soft", "state"}, "the demo is made of the kit, and free of transports and backends"},
	{"backends", []string{"internal/keys", "internal/pause", "internal/pgclient", "internal/redisclient", "lockstep", "precondition", "pubsub/", "state"}, "URLs lead to brokers and stores, and to applications over them"},
	{"run", []string{"backends", "internal/keys", "internal/process", "internal/traces", "lockstep", "precondition", "serve", "serve/ops", "serve/settings", "xray"}, "a main function puts together what others are"},
	{"examples/unixpubsub", []string{"pubsub/driver"}, "drivers know the contract only"},
	{"examples", []string{"run", "lockstep", "backends", "components", "serve", "state"}, "an example needs no more than its reader"},
	{"serve/ops", []string{"components", "internal/process", "live", "lockstep", "pubsub", "serve"}, "the page of the replicas is made of what it shows, and knows neither the demo nor a router"},
	{"serve/settings", []string{"internal/flags", "internal/limit", "internal/origin", "internal/process", "precondition", "serve"}, "what operators say of a server's edge knows no program"},
	{"serve", []string{"components", "histogram", "htmx", "internal/keys", "internal/limit", "internal/origin", "internal/process", "live", "lockstep", "precondition", "soft", "state", "static"}, "HTTP is the edge: it knows no router, no demo and no backend"},
	{"lockstep", []string{"histogram", "htmx", "internal/callback", "internal/pause", "internal/repeats", "live", "presence", "pubsub", "pubsub/driver", "roster", "soft", "state"}, "an application is free of transports and backends"},
	{"livetest", []string{"htmx", "lockstep", "pubsub/driver", "pubsub/mempubsub", "serve", "state"}, "the tests of an application see it as browsers do, over HTTP"},
	{"live/wslive", []string{"htmx", "internal/origin", "live"}, "a transport moves messages and no more"},
	{"live/httplive", []string{"htmx", "live"}, "a transport moves messages and no more"},
	{"live/jslive", []string{"live", "htmx"}, "a transport moves messages and no more"},
	{"live/jsmain", []string{"live", "live/jslive"}, "what programs for browsers have in common knows no application"},
	{"live/transporttest", []string{"live", "htmx"}, "a suite tests transports and knows none"},
	{"live/livetest", []string{"htmx", "live"}, "a fake browser is a transport"},
	{"live", []string{"htmx", "internal/callback", "internal/pause", "internal/repeats", "pubsub"}, "the runtime is free of transports and of the application"},
	{"components/gallery", []string{"components"}, "a gallery shows components, and nothing else"},
	{"components", nil, "components are pure functions of plain values"},
	{"xray/otlp", []string{"htmx", "internal/pause", "state", "xray"}, "what sends traces knows what was followed, and nothing of the application"},
	{"xray", []string{"htmx", "internal/pause", "live", "lockstep", "pubsub", "state"}, "what follows ops is told by hooks, and knows no transport"},
	{"histogram", nil, "counting durations depends on nothing"},
	{"docs/site", []string{"components", "docs", "static"}, "the book's pages are made of the kit, and know neither the demo nor what serves them"},
	{"docs", []string{"docs"}, "documents depend on nothing"},
	{"htmx", nil, "the wire format depends on nothing"},
	{"tools/site", []string{"components", "docs/site", "static"}, "files are what handlers answer"},
	{"tools/module", nil, "a rename depends on nothing that it renames"},
	{"presence", []string{"internal/callback", "internal/repeats", "pubsub"}, "presence is soft state over pubsub"},
	{"roster", []string{"internal/callback", "internal/repeats", "soft"}, "a roster is soft state, and nothing else"},
	{"soft", []string{"internal/callback", "internal/repeats", "pubsub", "pubsub/driver"}, "soft values are state over pubsub, and nothing else"},
	{"static/build", []string{"static/internal"}, "the build depends on nothing else of this module"},
	{"static/wasmbuild", []string{"static/internal/pack", "static/internal/progress", "static/internal/wasm"}, "it needs no module that a server does without"},
	{"static/compile", []string{"static", "static/internal/pack", "static/internal/progress"}, "a server runs the compiler, and has nothing of it in it"},
	{"static/internal/bundle", []string{"static/internal/pack"}, "the bundle is made of files"},
	{"upload", nil, "files arrive over HTTP, and nothing else is known of who sends them"},
	{"static", nil, "assets depend on nothing"},
	{"pubsub/driver", nil, "the contract depends on nothing"},
	{"pubsub/drivertest", []string{"pubsub/driver"}, "the suite tests the contract and knows no hub"},
	{"pubsub/pubsubtest", []string{"pubsub/driver", "pubsub/mempubsub"}, "a recorder is a driver"},
	{"pubsub/natspubsub", []string{"internal/natsclient", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/dualpubsub", []string{"precondition", "pubsub", "pubsub/driver"}, "two brokers are two hubs"},
	{"pubsub/pgpubsub", []string{"internal/pgclient", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/rabbitpubsub", []string{"internal/tlsoptions", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/redispubsub", []string{"internal/redisclient", "precondition", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/snssqspubsub", []string{"internal/tlsoptions", "pubsub/driver"}, "drivers know the contract only"},
	{"pubsub/", []string{"pubsub/driver"}, "drivers know the contract only, not the hub and not each other"},
	{"pubsub", []string{"histogram", "internal/callback", "internal/pause", "internal/repeats", "pubsub/driver"}, "the hub knows no backend"},
	{"natsembedded", []string{"pubsub/natspubsub", "state/natsstate"}, "a server in the process is used as any other"},
	{"state/natsstate", []string{"internal/natsclient", "internal/pause", "precondition", "state"}, "stores know the contract only"},
	{"state/pgstate", []string{"internal/pgclient", "precondition", "state"}, "stores know the contract only"},
	{"state/statetest", []string{"internal/pause", "state"}, "a suite tests stores and knows none"},
	{"state/redisstate", []string{"internal/redisclient", "precondition", "state"}, "stores know the contract only"},
	{"state/", []string{"state"}, "stores know the contract only, not each other"},
	{"state", []string{"internal/callback", "internal/repeats"}, "states depend on nothing"},
	{"internal/docs", nil, "documents are tested from outside"},
	{"internal/outside", nil, "a user of this module is outside of it"},
	{"internal/history", nil, "a history is judged from outside"},
	{"internal/items", []string{"internal/history"}, "what a page shows of items is read from outside"},
	{"internal/dev", nil, "the development server runs programs and imports nothing of them"},
	{"internal/faults", []string{"pubsub/driver", "state"}, "what is broken on purpose is what a replica has of the world"},
	{"internal/fleet", []string{"internal/history"}, "a fleet sees a server from outside, and is judged by others"},
	{"internal/flags", nil, "flags know no program"},
	{"internal/traces", []string{"xray", "xray/otlp"}, "traces are sent by who follows clicks, and know no program"},
	{"internal/keys", nil, "keys know nobody who signs"},
	{"internal/limit", nil, "limits know addresses and nothing else"},
	{"internal/loglimit", nil, "a log handler depends on nothing"},
	{"internal/origin", nil, "whose page it is depends on headers and nothing else"},
	{"internal/callback", []string{"internal/repeats"}, "a guard knows nothing of whom it guards"},
	{"internal/repeats", nil, "a counter depends on nothing"},
	{"internal/pause", nil, "a pause depends on nothing"},
	{"internal/natsclient", []string{"internal/tlsoptions"}, "what URLs and subjects mean depends on no contract"},
	{"internal/pgclient", []string{"precondition"}, "a client's settings depend on nothing but how to say what a server is"},
	{"internal/redisclient", []string{"internal/pause", "internal/tlsoptions", "precondition"}, "a client's settings depend on nothing but how to say what a server is"},
	{"internal/tlsoptions", nil, "what URLs say of TLS depends on no client"},
	{"internal/process", []string{"precondition"}, "the surroundings of a process are files of the system"},
	{"precondition", nil, "a vocabulary depends on nothing"},
	{"internal/version", nil, "a version is a number"},
	{"tools/loadgen/load/internal/browser", []string{"htmx", "tools/loadgen/load/internal/latency", "tools/loadgen/load/internal/schedule", "tools/loadgen/load/protocol", "tools/loadgen/load/workload"}, "tabs do what a plan says over a protocol, and judge nothing"},
	{"tools/loadgen/load/internal/latency", nil, "a distribution depends on nothing"},
	{"tools/loadgen/load/internal/schedule", []string{"tools/loadgen/load/workload"}, "a schedule is arithmetic on a plan"},
	{"tools/loadgen/load/internal/workers", []string{"tools/loadgen/load/internal/browser", "tools/loadgen/load/protocol", "tools/loadgen/load/workload"}, "workers spread tabs over processes, and judge nothing"},
	{"tools/loadgen/load/protocol", []string{"internal/history", "internal/items"}, "a protocol is the meaning of bytes"},
	{"tools/loadgen/load/workload", nil, "a plan is arithmetic"},
	{"tools/loadgen/load", []string{"internal/history", "tools/loadgen/load/"}, "a load is judged from outside: it knows the wire, not the product"},
	{"tools/loadgen/internal/planted", nil, "a server with planted bugs depends on nothing it tests"},
	{"tools/loadgen", []string{"internal/flags", "internal/history", "internal/version", "tools/loadgen/load"}, "a thin command over its library"},
	{"internal/short", nil, "what -short means depends on nothing"},
	{"internal/testserver", []string{"faultproxy", "internal/short"}, "test servers depend on nothing of the product"},
	{"faultproxy", nil, "a proxy of tests understands nothing of what passes"},
}

// portable are the packages that the browser build consists of, with all
// below them that is not a backend or a transport of a server.
var portable = []string{
	"app", "app/pages", "cmd/wasm", "components", "components/gallery", "histogram", "htmx", "live", "live/jslive", "live/jsmain",
	"lockstep", "presence", "pubsub", "pubsub/driver", "pubsub/jspubsub", "pubsub/mempubsub", "roster", "soft", "state", "state/idbstate", "state/memstate",
}

// notPortable must not be imported by them: they are for servers.
var notPortable = []string{"net/http", "github.com/labstack/echo", "github.com/redis", "github.com/jackc", "github.com/nats-io", "github.com/aws", "github.com/coder/websocket", "go.etcd.io", "github.com/prometheus", "database/sql", "os/exec"}

type pkg struct {
	ImportPath, Name, Dir     string
	Doc                       string
	Imports                   []string
	TestGoFiles, XTestGoFiles []string
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
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Doc,Imports,TestGoFiles,XTestGoFiles", "work")
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
// The package at its root has its name.
func local(importPath string) (string, bool) {
	if importPath == module {
		return root, true
	}
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
		"github.com/jackc/":          {"backends", "internal/pgclient", "pubsub/pgpubsub", "state/pgstate"},
		"github.com/nats-io/":        {"internal/natsclient", "natsembedded", "pubsub/natspubsub", "state/natsstate"},
		"github.com/gofrs/":          {"natsembedded"},
		"github.com/rabbitmq/":       {"pubsub/rabbitpubsub"},
		"github.com/aws/":            {"pubsub/snssqspubsub"},
		"go.etcd.io/":                {"state/boltstate"},
		"github.com/coder/websocket": {"internal/fleet", "live/wslive", "livetest", "tools/loadgen/internal/planted"},
		"github.com/prometheus/":     {"serve", "tools/loadgen"},
		"github.com/HdrHistogram/":   {"tools/loadgen/load/internal/latency"},
		"github.com/alecthomas/":     {"docs/site"},
		"github.com/yuin/":           {"docs/site"},
		"github.com/andybalholm/":    {"docs/site", "livetest", "serve", "static", "static/internal/pack", "tools/loadgen/load/protocol"},
		"github.com/goccy/go-yaml":   {"tools/loadgen/load/workload"},
		"github.com/chromedp/":       nil, // what e2e needs is in a module of its own
		"github.com/a-h/templ":       {"app/web", "app/pages", "components", "components/gallery", "docs/site", "examples/chat", "examples/checklist", "examples/hits", "examples/kanban", "examples/poll", "examples/cursors", "examples/job", "examples/signup", "examples/tokens", "lockstep", "serve", "serve/ops"},
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
		if p == module {
			p = "."
		}
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

// notForUsers are packages that programs are made without; all below them is, too.
var notForUsers = map[string]string{
	"app":                "the demo",
	"examples":           "programs",
	"internal":           "nobody else can import it",
	"live/transporttest": "the suite of the transports of this module",
	"state/lanetest":     "a proof",
	"tools":              "programs, and what they are made of",
}

func TestEveryPackageForUsersHasAnExample(t *testing.T) {
	for _, p := range list(t) {
		name, _ := local(p.ImportPath)
		for below := range notForUsers {
			if covers(below, name) {
				name = ""
			}
		}
		if name == "" || p.Name == "main" || strings.Contains(name, "/internal/") || hasExample(t, p) {
			continue
		}
		t.Errorf("%s has no Example: show how it is used, in example_test.go", name)
	}
}

func hasExample(t *testing.T, p pkg) bool {
	t.Helper()
	for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		text, err := os.ReadFile(filepath.Join(p.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc Example") {
			return true
		}
	}
	return false
}

// The first sentence is all that lists of packages show.
func TestEveryPackageCommentBeginsWithItsName(t *testing.T) {
	for _, p := range list(t) {
		name, _ := local(p.ImportPath)
		if p.Name != "main" && name != "internal/arch" && !strings.HasPrefix(p.Doc, "Package "+p.Name+" ") {
			t.Errorf("%s: the package comment begins with %q", name, p.Doc)
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
