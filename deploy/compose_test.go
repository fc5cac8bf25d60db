package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
		bad = append(bad, k.check(p, known)...)
	}
	for _, name := range []string{"redis", "postgres"} {
		if s := p.Services[name]; len(s.DependsOn) > 0 || len(s.Profiles) > 0 || len(s.Ports) != 1 {
			bad.add("%s: it must start alone, with its port, for local development", name)
		}
	}
	return append(bad, checkFiles(t, p)...)
}

// check checks a stack's replicas, and that its nginx finds them.
func (k stack) check(p *types.Project, known map[string]bool) (bad complaints) {
	nginx := p.Services[k.before+"nginx"]
	if len(nginx.Ports) != 1 || nginx.Ports[0].Published != strconv.Itoa(k.port) {
		bad.add("%snginx: it is not at localhost:%d", k.before, k.port)
	}
	if len(nginx.Networks) != 1 || nginx.Networks[k.network] == nil {
		bad.add("%snginx: it is in other networks than %s, where app1 may be another", k.before, k.network)
		return bad
	}
	address := nginx.Networks[k.network].Ipv4Address
	for i := 1; i <= 3; i++ {
		s := p.Services[fmt.Sprintf("%sapp%d", k.before, i)]
		bad = append(bad, k.checkReplica(s, i, known)...)
		if got := setting(s, "TRUSTED_PROXIES"); got != address || address == "" {
			bad.add("%s: it trusts %q and not nginx at %q", s.Name, got, address)
		}
		if !strings.HasSuffix(nginx.DependsOn[s.Name].Condition, "healthy") {
			bad.add("%snginx: it does not wait for %s", k.before, s.Name)
		}
	}
	return bad
}

// checkService checks what holds for every service.
func checkService(s types.ServiceConfig) (bad complaints) {
	say := func(format string, args ...any) { bad.add(s.Name+": "+format, args...) }
	once := s.Restart == "no" // it does its work and ends
	if s.Build == nil && !pinned(s.Image) {
		say("the image %q has no version", s.Image)
	}
	if s.Build == nil && (s.User == "" || strings.HasPrefix(s.User, "0")) {
		say("it runs as root")
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

// checkMounts wants files to be there and to stay as they are.
func checkMounts(s types.ServiceConfig) (bad complaints) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			bad.add("%s: %v", s.Name, err)
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

// checkFiles compares the replicas with what nginx's and Prometheus' files call them.
func checkFiles(t *testing.T, p *types.Project) (bad complaints) {
	upstreams, scrapes := read(t, "deploy/nginx-replicas.conf"), read(t, "deploy/prometheus/prometheus.yml")
	for _, name := range []string{"app1", "app2", "app3"} {
		if !strings.Contains(upstreams, fmt.Sprintf("server %s:8000 ", name)) {
			bad.add("nginx: it does not know %s", name)
		}
		if !strings.Contains(scrapes, name+setting(p.Services[name], "ADMIN_ADDR")) {
			bad.add("prometheus: it does not ask %s", name)
		}
	}
	return bad
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
		{"a file that is not there", "./deploy/redis.conf", "./deploy/rdis.conf", "rdis.conf"},
		{"a file that can be changed", "redis.conf:/etc/redis.conf:ro", "redis.conf:/etc/redis.conf", "redis.conf can be changed"},
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
