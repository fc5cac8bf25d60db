package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// A stack is three replicas over one broker, behind an nginx.
type stack struct {
	before   string   // the names of its services begin with it
	needs    []string // which backends
	network  string
	port     int    // on this machine, of nginx; those of replicas are the next ones
	pubsub   string // what the broker's URL begins with
	channels string // prefix
}

var stacks = []stack{
	{"", []string{"redis", "postgres"}, "edge", 8000, "redis://", ""},
	{"nats-", []string{"nats", "postgres"}, "nats", 8010, "nats://", "nats:"},
	{"rabbitmq-", []string{"rabbitmq", "postgres"}, "rabbitmq", 8020, "amqp://", "rabbitmq:"},
}

// beyondDrain is what a replica may take after its tabs have left
// (stopTimeout in cmd/web).
const beyondDrain = 10 * time.Second

func loadCompose(t testing.TB, text string, env types.Mapping) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml"), Content: []byte(text)}},
		Environment: env,
	}, func(o *loader.Options) { o.Profiles = []string{"*"} })
}

// composeRules are the rules for the compose file, of a program that knows
// some settings.
func composeRules(known map[string]bool) func(*testing.T, string) []string {
	return func(t *testing.T, text string) []string { return checkCompose(t, text, known) }
}

func checkCompose(t *testing.T, text string, known map[string]bool) []string {
	return checkComposeWith(t, text, read(t, "deploy/nginx-replicas.conf"), read(t, "deploy/prometheus/prometheus.yml"), known)
}

// checkComposeWith checks the compose file beside the files of nginx and Prometheus that name
// replicas.
func checkComposeWith(t *testing.T, text, upstreams, scrapes string, known map[string]bool) []string {
	p, err := loadCompose(t, text, nil)
	if err != nil {
		return []string{err.Error()}
	}
	var bad complaints
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		bad = append(bad, checkService(s)...)
		bad = append(bad, checkMounts(s)...)
	}
	for _, k := range stacks {
		bad = append(bad, k.check(p, upstreams, known)...)
	}
	for _, name := range []string{"redis", "postgres"} {
		if s := p.Services[name]; len(s.DependsOn) > 0 || len(s.Profiles) > 0 || len(s.Ports) != 1 {
			bad.add("%s: it must start alone, with its port, for local development", name)
		}
	}
	if test := p.Services["postgres"].HealthCheck.Test; !strings.Contains(strings.Join(test, " "), "-h 127.0.0.1") {
		bad.add("postgres: the server that prepares a new database, without TCP, is healthy too")
	}
	for _, s := range replicasOf(p, "") {
		if !strings.Contains(scrapes, s.Name+setting(s, "ADMIN_ADDR")) {
			bad.add("prometheus: it does not ask %s", s.Name)
		}
	}
	return bad
}

// replicasOf are the replicas whose names begin so, in the order of their numbers from 1 on.
func replicasOf(p *types.Project, before string) (all []types.ServiceConfig) {
	for {
		s, ok := p.Services[fmt.Sprintf("%sapp%d", before, len(all)+1)]
		if !ok {
			return all
		}
		all = append(all, s)
	}
}

// check checks a stack's replicas, and that its nginx finds them.
func (k stack) check(p *types.Project, upstreams string, known map[string]bool) (bad complaints) {
	nginx := p.Services[k.before+"nginx"]
	if len(nginx.Ports) != 1 || nginx.Ports[0].Published != strconv.Itoa(k.port) {
		bad.add("%snginx: it is not at localhost:%d", k.before, k.port)
	}
	if len(nginx.Networks) != 1 || nginx.Networks[k.network] == nil {
		bad.add("%snginx: it is in other networks than %s, where app1 may be another", k.before, k.network)
		return bad
	}
	if nginx.StopSignal != "SIGTERM" {
		bad.add("%snginx: with %q it waits for websockets when it is to end, and serves nobody meanwhile", k.before, nginx.StopSignal)
	}
	address := nginx.Networks[k.network].Ipv4Address
	replicas, names, builders := replicasOf(p, k.before), "", 0
	for i, s := range replicas {
		bad = append(bad, k.checkReplica(s, i+1, known)...)
		names += fmt.Sprintf("app%d ", i+1)
		if s.Build != nil {
			builders++
		}
		if s.Image != replicas[0].Image {
			bad.add("%s: its image is %s, and that of the others %s", s.Name, s.Image, replicas[0].Image)
		}
		if got := setting(s, "TRUSTED_PROXIES"); got != address || address == "" {
			bad.add("%s: it trusts %q and not nginx at %q", s.Name, got, address)
		}
		if !strings.HasSuffix(nginx.DependsOn[s.Name].Condition, "healthy") {
			bad.add("%snginx: it does not wait for %s", k.before, s.Name)
		}
	}
	if builders != 1 || len(replicas) < 3 || replicas[0].Build == nil {
		bad.add("%sapp: of %d replicas %d build the image, and not the first alone", k.before, len(replicas), builders)
	}
	for _, role := range []string{"max_fails=1", "max_fails=0 backup"} {
		got := ""
		for _, m := range regexp.MustCompile(`(?m)^server (app\d+):8000 `+role).FindAllStringSubmatch(upstreams, -1) {
			got += m[1] + " "
		}
		if got != names {
			bad.add("%snginx: it sends tabs to %s, and there are %s (%s)", k.before, got, names, role)
		}
	}
	return bad
}

// checkService checks what holds for every service.
func checkService(s types.ServiceConfig) (bad complaints) {
	say := func(format string, args ...any) { bad.add(s.Name+": "+format, args...) }
	once := s.Restart == "no"                     // it does its work and ends
	own := strings.HasPrefix(s.Image, "lockstep") // of the Dockerfile, which says who the user is
	if !own && !pinned(s.Image) {
		say("the image %q has no version", s.Image)
	}
	if own && s.PullPolicy != types.PullPolicyNever {
		say("its image is taken from a registry if one has that name")
	}
	if !own && (s.User == "" || strings.HasPrefix(s.User, "0")) {
		say("it runs as root")
	}
	if s.Logging == nil || s.Logging.Driver != "json-file" || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
		say("its log has no limit")
	}
	if !once && s.Restart != "unless-stopped" {
		say("it does not restart")
	}
	if !once && (s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) == 0) {
		say("there is no health check")
	}
	if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.NanoCPUs == 0 || s.Deploy.Resources.Limits.MemoryBytes == 0 {
		say("CPU or memory have no limit")
	}
	if s.Ulimits["nofile"] == nil {
		say("open files have no limit")
	}
	if !s.ReadOnly {
		say("its file system can be written")
	}
	if !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 || s.Privileged {
		say("it keeps capabilities")
	}
	if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		say("it may gain privileges")
	}
	for _, port := range s.Ports {
		if port.HostIP != "127.0.0.1" {
			say("port %s is open to everybody", port.Published)
		}
	}
	return bad
}

// checkMounts wants folders that are there and stay as they are. A file that is mounted by itself
// is that one for ever: editors, and git, write another of the same name.
func checkMounts(s types.ServiceConfig) (bad complaints) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if info, err := os.Stat(v.Source); err != nil {
			bad.add("%s: %v", s.Name, err)
		} else if !info.IsDir() {
			bad.add("%s: %s is a file: an edit of it is not seen", s.Name, v.Source)
		}
		if !v.ReadOnly {
			bad.add("%s: %s can be changed from within", s.Name, v.Source)
		}
	}
	return bad
}

// checkReplica checks the replica of a number.
func (k stack) checkReplica(s types.ServiceConfig, number int, known map[string]bool) (bad complaints) {
	for name := range s.Environment {
		if !known[name] {
			bad.add("%s: the program knows no %s", s.Name, name)
		}
	}
	drain, err := time.ParseDuration(setting(s, "DRAIN"))
	if err != nil || s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) <= drain+beyondDrain {
		bad.add("%s: it is killed before it has drained (DRAIN %s)", s.Name, drain)
	}
	port := strconv.Itoa(k.port + number)
	if len(s.Ports) != 1 || s.Ports[0].Published != port || s.Ports[0].Target != 8000 {
		bad.add("%s: it is not at localhost:%s", s.Name, port)
	}
	for _, backend := range k.needs {
		if !strings.HasSuffix(s.DependsOn[backend].Condition, "healthy") {
			bad.add("%s: it does not wait for %s", s.Name, backend)
		}
	}
	if setting(s, "REPLICA") != s.Name {
		bad.add("%s: it calls itself %q", s.Name, setting(s, "REPLICA"))
	}
	if !strings.HasPrefix(setting(s, "PUBSUB_URL"), k.pubsub) || setting(s, "CHANNEL_PREFIX") != k.channels {
		bad.add("%s: its broker is another, or its states are another's", s.Name)
	}
	// Its own name is one in the network, too.
	if in, name := s.Networks[k.network], fmt.Sprintf("app%d", number); in == nil || s.Name != name && !slices.Contains(in.Aliases, name) {
		bad.add("%s: nginx does not find it as %s", s.Name, name)
	}
	return bad
}

// setting is a variable of a service, "" if it has none.
func setting(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

func TestTheComposeFileKeepsTheRules(t *testing.T) {
	for _, c := range checkCompose(t, read(t, "docker-compose.yml"), settings(t)) {
		t.Error(c)
	}
}

func TestEachRuleOfTheComposeFileObjects(t *testing.T) {
	provoke(t, read(t, "docker-compose.yml"), composeRules(settings(t)), []breach{
		{"a key that does not exist", "read_only: true", "readonly: true", ".readonly false schema"},
		{"an undefined network", "networks: [edge]\n    ports: [\"127.0.0.1:9090", "networks: [egde]\n    ports: [\"127.0.0.1:9090", "egde"},
		{"an image without version", "redis:8.2-alpine", "redis:alpine", "redis: the image"},
		{"root", "user: \"70:70\"", "user: \"0:0\"", "postgres: it runs as root"},
		{"restart on failure only", "restart: unless-stopped", "restart: on-failure", "app1: it does not restart"},
		{"no health check", "test: [CMD, redis-cli, ping]", "disable: true", "redis: there is no health check"},
		{"no limit of memory", "limits: {cpus: \"0.5\", memory: 512M}", "limits: {cpus: \"0.5\"}", "prometheus: CPU or memory"},
		{"no limit of files", "ulimits: {nofile: {soft: 10240, hard: 10240}}", "", "redis: open files"},
		{"a file system to write to", "read_only: true", "read_only: false", "app1: its file system"},
		{"capabilities", "cap_drop: [ALL]", "cap_drop: [ALL]\n  cap_add: [NET_ADMIN]", "app1: it keeps capabilities"},
		{"privileges to gain", "security_opt: [no-new-privileges:true]", "", "app1: it may gain privileges"},
		{"a port for everybody", "127.0.0.1:6379:6379", "6379:6379", "redis: port 6379 is open"},
		{"a folder that is not there", "./deploy:/etc/lockstep:ro", "./deplo:/etc/lockstep:ro", "deplo: no such file"},
		{"a folder that can be changed", "- ./deploy:/etc/lockstep:ro", "- ./deploy:/etc/lockstep", "deploy can be changed"},
		{"a file by itself", "./deploy/prometheus:/etc/prometheus:ro", "./deploy/prometheus/prometheus.yml:/etc/prometheus/prometheus.yml:ro", "prometheus.yml is a file: an edit"},
		{"a log without end", "options: {max-size: 10m, max-file: \"3\"}", "options: {max-file: \"3\"}", "redis: its log has no limit"},
		{"another's image", "pull_policy: never ", "pull_policy: missing ", "app2: its image is taken from a registry"},
		{"three builds", "  nats-app2:\n    <<: *nats-app", "  nats-app2:\n    <<: [*build, *nats-app]", "nats-app: of 3 replicas 2 build the image"},
		{"no build", "<<: [*build, *rabbitmq-app]", "<<: *rabbitmq-app", "rabbitmq-app: of 3 replicas 0 build the image"},
		{"an nginx that waits for websockets", "stop_signal: SIGTERM", "stop_signal: SIGQUIT", "nats-nginx: with \"SIGQUIT\" it waits"},
		{"a database that is not ready", "-h, 127.0.0.1, ", "", "postgres: the server that prepares"},
		{"a setting that does not exist", "TRUSTED_PROXIES:", "TRUST_PROXIES:", "the program knows no TRUST_PROXIES"},
		{"killed while it drains", "stop_grace_period: 40s           # DRAIN", "stop_grace_period: 30s # DRAIN", "app1: it is killed"},
		{"another port", ":8001:8000", ":8101:8000", "app1: it is not at localhost:8001"},
		{"another port of nginx", ":8000:8000", ":80:8000", "nginx: it is not at localhost:8000"},
		{"a backend that is not waited for", "redis: {condition: service_healthy}", "redis: {condition: service_started}", "app1: it does not wait for redis"},
		{"a broker that is not waited for", "nats: {condition: service_healthy}", "nats: {condition: service_started}", "nats-app1: it does not wait for nats"},
		{"a broker of another stack", "PUBSUB_URL: amqp://lockstep", "PUBSUB_URL: nats://lockstep", "rabbitmq-app1: its broker is another"},
		{"the same names in the store", "CHANNEL_PREFIX: \"nats:\"", "CHANNEL_PREFIX: \"rabbitmq:\"", "nats-app3: its broker is another, or its states"},
		{"a replica that nginx does not find", "aliases: [app2]", "aliases: [app1]", "nats-app2: nginx does not find it as app2"},
		{"an nginx that finds another's replicas", "networks: {nats: {ipv4_address: \"${NATS_SUBNET:-172.30.81}.10\"}}", "networks: {nats: {ipv4_address: \"${NATS_SUBNET:-172.30.81}.10\"}, edge: {}}", "nats-nginx: it is in other networks"},
		{"an nginx that does not wait", "rabbitmq-app3: {condition: service_healthy}", "rabbitmq-app3: {condition: service_started}", "rabbitmq-nginx: it does not wait for rabbitmq-app3"},
		{"a replica with another's name", "REPLICA: app2", "REPLICA: app1", "app2: it calls itself"},
		{"a database that does not start alone", "user: \"70:70\"", "user: \"70:70\"\n    profiles: [db]", "postgres"},
		{"metrics elsewhere", "ADMIN_ADDR: :9090", "ADMIN_ADDR: :9091", "prometheus: it does not ask app1"},
		{"an untrusted nginx", "TRUSTED_PROXIES: ${SUBNET:-172.30.80}.10", "TRUSTED_PROXIES: ${SUBNET:-172.30.80}.9", "and not nginx at"},
	})
}

// TestTheComposeFileTakesSettings: another broker, other passwords, another
// network, and not a key of development in any of it.
func TestTheComposeFileTakesSettings(t *testing.T) {
	p, err := loadCompose(t, read(t, "docker-compose.yml"), types.Mapping{
		"REDIS_PASSWORD": "redis-secret", "POSTGRES_PASSWORD": "postgres-secret", "GRAFANA_PASSWORD": "grafana-secret",
		"SECRET": strings.Repeat("s", 32), "NATS_PASSWORD": "nats-secret", "RABBITMQ_PASSWORD": "rabbitmq-secret", "SUBNET": "10.1.2", "BIND": "0.0.0.0", "VERSION": "v1.2.3",
	})
	if err != nil {
		t.Fatal(err)
	}
	app := p.Services["app2"]
	for name, want := range map[string]string{
		"PUBSUB_URL": "redis://:redis-secret@redis:6379", "TRUSTED_PROXIES": "10.1.2.10", "EXEMPT": "10.1.2.0/24", "SECRET": strings.Repeat("s", 32),
	} {
		if got := setting(app, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if app.Image != "lockstep:v1.2.3" || app.Ports[0].HostIP != "0.0.0.0" || app.Networks["edge"].Ipv4Address != "10.1.2.12" {
		t.Errorf("got %s, %v, %v", app.Image, app.Ports, app.Networks["edge"])
	}
	all, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, dev := range []string{"lockstep-dev", "known to everybody"} {
		if strings.Contains(string(all), dev) {
			t.Errorf("%q is still in the project", dev)
		}
	}
	other, err := loadCompose(t, read(t, "docker-compose.yml"), types.Mapping{"PUBSUB_URL": "nats://nats:4222", "STORE_URL": "postgres://x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := setting(other.Services["app1"], "PUBSUB_URL") + " " + setting(other.Services["app1"], "STORE_URL"); got != "nats://nats:4222 postgres://x" {
		t.Errorf("got %q, want the broker that was asked for", got)
	}
}

// TestLocalDevelopmentIsToldTheAddresses of what the file starts for it, with the passwords that
// are the defaults.
func TestLocalDevelopmentIsToldTheAddresses(t *testing.T) {
	text := read(t, "docker-compose.yml")
	p, err := loadCompose(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	local := func(service, url string) string {
		return strings.Replace(url, "@"+service, "@localhost:"+p.Services[service].Ports[0].Published, 1)
	}
	redis := local("redis", strings.TrimSuffix(setting(p.Services["app1"], "PUBSUB_URL"), ":6379"))
	postgres := local("postgres", setting(p.Services["nats-app1"], "STORE_URL"))
	head, _, _ := strings.Cut(text, "\nname:")
	for place, text := range map[string]string{"the head of docker-compose.yml": head, "README.md": read(t, "README.md")} {
		for _, url := range []string{redis, postgres} {
			if !strings.Contains(text, url) {
				t.Errorf("%s does not say %s", place, url)
			}
		}
	}
}

// TestOneMoreReplica does what docs/operations.md says, in each stack. Each step is needed.
func TestOneMoreReplica(t *testing.T) {
	_, section, ok := strings.Cut(read(t, "docs/operations.md"), "#### One more replica\n")
	service := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(section)
	if !ok || service == nil {
		t.Fatal("docs/operations.md does not say how")
	}
	upstreams := read(t, "deploy/nginx-replicas.conf")
	last := regexp.MustCompile(`(?m)^server app3:.*\n`).FindAllString(upstreams, -1)
	steps := []struct {
		missing string // what is said without
		do      func(text, upstreams, scrapes *string)
	}{
		{"undefined service", func(text, _, _ *string) {
			for _, k := range stacks {
				one := regexp.MustCompile(`(?m)^  ` + k.before + `app3:\n(    .*\n)+`).FindString(*text)
				more := strings.NewReplacer("app3", "app4", "}.13", "}.14", fmt.Sprintf(":%d:", k.port+3), fmt.Sprintf(":%d:", k.port+4)).Replace(one)
				if k.before == "" {
					more = service[1]
				}
				*text = strings.Replace(*text, one, one+more, 1)
			}
		}},
		{"nginx: it does not wait for app4", func(text, _, _ *string) {
			for _, k := range stacks {
				wait := "      " + k.before + "app3: {condition: service_healthy}\n"
				*text = strings.Replace(*text, wait, wait+strings.Replace(wait, "app3", "app4", 1), 1)
			}
		}},
		{"nginx: it sends tabs to app1 app2 app3 ,", func(_, upstreams, _ *string) {
			for _, line := range last {
				*upstreams = strings.Replace(*upstreams, line, line+strings.Replace(line, "app3", "app4", 1), 1)
			}
		}},
		{"prometheus: it does not ask app4", func(_, _, scrapes *string) {
			*scrapes = strings.Replace(*scrapes, "app3:9090", "app3:9090, app4:9090", 1)
		}},
	}
	known := settings(t)
	for without := -1; without < len(steps); without++ {
		text, upstreams, scrapes := read(t, "docker-compose.yml"), upstreams, read(t, "deploy/prometheus/prometheus.yml")
		for i, s := range steps {
			if i != without {
				s.do(&text, &upstreams, &scrapes)
			}
		}
		got := strings.Join(checkComposeWith(t, text, upstreams, scrapes, known), "\n")
		switch {
		case without < 0 && got != "":
			t.Errorf("it is not right: %s", got)
		case without >= 0 && !strings.Contains(got, steps[without].missing):
			t.Errorf("without step %d: got %q, want %q", without+1, got, steps[without].missing)
		}
	}
}

// TestProfilesAreOptional: what "docker compose up" starts.
func TestProfilesAreOptional(t *testing.T) {
	p, err := loadCompose(t, read(t, "docker-compose.yml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var always []string
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if len(p.Services[name].Profiles) == 0 {
			always = append(always, name)
		}
	}
	if want := []string{"app1", "app2", "app3", "nginx", "postgres", "redis"}; !slices.Equal(always, want) {
		t.Errorf("got %v without a profile, want %v", always, want)
	}
	for name, want := range map[string]string{
		"prometheus": "monitoring", "grafana": "monitoring", "loadgen": "load",
		"nats": "nats", "nats-app1": "nats", "nats-app2": "nats", "nats-app3": "nats", "nats-nginx": "nats",
		"rabbitmq": "rabbitmq", "rabbitmq-app1": "rabbitmq", "rabbitmq-app2": "rabbitmq", "rabbitmq-app3": "rabbitmq", "rabbitmq-nginx": "rabbitmq",
	} {
		if got := p.Services[name].Profiles; !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got profiles %v, want %s", name, got, want)
		}
	}
}

// TestGrafanaIsProvisioned: with the names that the files agree on.
func TestGrafanaIsProvisioned(t *testing.T) {
	var sources struct {
		Datasources []struct{ UID, URL, Type string }
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/grafana/provisioning/datasources/prometheus.yml")), &sources); err != nil {
		t.Fatal(err)
	}
	if d := sources.Datasources; len(d) != 1 || d[0].UID != "prometheus" || d[0].URL != "http://prometheus:9090" {
		t.Errorf("got %+v, want the service of docker-compose.yml", d)
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/grafana/provisioning/dashboards/lockstep.yml")), &providers); err != nil {
		t.Fatal(err)
	}
	if p := providers.Providers; len(p) != 1 || !strings.Contains(read(t, "docker-compose.yml"), "./deploy/grafana/dashboards:"+p[0].Options.Path+":ro") {
		t.Errorf("got %+v, want the folder that docker-compose.yml mounts", p)
	}
}
