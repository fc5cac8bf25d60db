package deploy_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizations are what "kubectl apply -k" is given.
var kustomizations = []string{
	"base", "overlays/external-nats", "overlays/external-postgres", "overlays/external-redis", "overlays/hosts", "overlays/ingress",
	"overlays/redis", "overlays/tls",
}

// A cluster is what a kustomization makes.
type cluster struct {
	pods        map[string]pods
	services    []*corev1.Service
	configs     map[string]map[string]string
	autoscalers []*autoscalingv2.HorizontalPodAutoscaler
	budgets     []*policyv1.PodDisruptionBudget
	policies    []*networkingv1.NetworkPolicy
	ingresses   []*networkingv1.Ingress
	accounts    []*corev1.ServiceAccount
	routes      []object // of Gateway API
}

// pods are those of one Deployment or StatefulSet.
type pods struct {
	kind     string
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
}

// kustomized runs kustomize on the folder, with one file's text changed or added.
func kustomized(dir, file, text string) ([]object, error) {
	disk := filesys.MakeFsOnDisk()
	memory := filesys.MakeFsInMemory()
	err := disk.Walk("kubernetes", func(path string, info fs.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := disk.ReadFile(path)
		if err != nil {
			return err
		}
		return memory.WriteFile("/"+filepath.ToSlash(path), b)
	})
	if err != nil {
		return nil, err
	}
	if file != "" {
		if err := memory.WriteFile("/kubernetes/"+file, []byte(text)); err != nil {
			return nil, err
		}
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/kubernetes/"+dir)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, r := range made.Resources() {
		b, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		o, err := parseObject(b)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// buildCluster is what kustomize makes of the folder, with one file's text changed.
func buildCluster(dir, file, text string) (*cluster, error) {
	objects, err := kustomized(dir, file, text)
	if err != nil {
		return nil, err
	}
	return clusterOf(objects)
}

func clusterOf(objects []object) (*cluster, error) {
	c := &cluster{pods: map[string]pods{}, configs: map[string]map[string]string{}}
	decode := strictDecoder()
	for _, o := range objects {
		if o.custom() {
			c.routes = append(c.routes, o)
			continue
		}
		typed, _, err := decode(o.json(), nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o, err)
		}
		if err := c.add(typed); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// strictDecoder knows the types of Kubernetes, and no field besides.
func strictDecoder() func([]byte, *schema.GroupVersionKind, runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err) // a mistake of this file
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode
}

func (c *cluster) add(o runtime.Object) error {
	switch o := o.(type) {
	case *appsv1.Deployment:
		c.pods[o.Name] = pods{"Deployment", o.Spec.Selector, o.Spec.Template}
	case *appsv1.StatefulSet:
		c.pods[o.Name] = pods{"StatefulSet", o.Spec.Selector, o.Spec.Template}
	case *corev1.Service:
		c.services = append(c.services, o)
	case *corev1.ConfigMap:
		c.configs[o.Name] = o.Data
	case *corev1.Secret: // what is in it is not for a test to know
	case *corev1.ServiceAccount:
		c.accounts = append(c.accounts, o)
	case *autoscalingv2.HorizontalPodAutoscaler:
		c.autoscalers = append(c.autoscalers, o)
	case *policyv1.PodDisruptionBudget:
		c.budgets = append(c.budgets, o)
	case *networkingv1.NetworkPolicy:
		c.policies = append(c.policies, o)
	case *networkingv1.Ingress:
		c.ingresses = append(c.ingresses, o)
	default:
		return fmt.Errorf("no rule for %T", o)
	}
	return nil
}

// facts are what the manifests must agree with.
type facts struct {
	settings, metrics map[string]bool
}

func checkCluster(c *cluster, f facts) (bad complaints) {
	for _, name := range slices.Sorted(maps.Keys(c.pods)) {
		p := c.pods[name]
		bad = append(bad, checkPods(name, p)...)
		bad = append(bad, c.checkAround(name, p)...)
	}
	for _, s := range c.services {
		if !c.selects(metav1.SetAsLabelSelector(s.Spec.Selector)) {
			bad.add("Service %s: it selects no pod", s.Name)
		}
	}
	for _, a := range c.accounts {
		if a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken {
			bad.add("ServiceAccount %s: pods get a token", a.Name)
		}
	}
	bad = append(bad, c.checkAutoscalers(f.metrics)...)
	bad = append(bad, c.checkIngresses()...)
	bad = append(bad, c.checkRoutes()...)
	bad = append(bad, c.checkNames()...)
	return append(bad, c.checkReplica(f.settings)...)
}

// selects reports whether a selector fits some pods.
func (c *cluster) selects(selector *metav1.LabelSelector) bool {
	for _, p := range c.pods {
		if fits(selector, p) {
			return true
		}
	}
	return false
}

func fits(selector *metav1.LabelSelector, p pods) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && !s.Empty() && s.Matches(labels.Set(p.template.Labels))
}

// checkPods is the restricted standard for pods, and what keeps them well.
func checkPods(name string, p pods) (bad complaints) {
	say := func(format string, args ...any) { bad.add(name+": "+format, args...) }
	spec := p.template.Spec
	if !fits(p.selector, p) {
		say("its selector does not fit its pods")
	}
	// Without a user and a group it is OpenShift that gives both.
	if s := spec.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser != nil && *s.RunAsUser == 0 || s.RunAsUser == nil && s.FSGroup != nil {
		say("it may run as root")
	}
	if s := spec.SecurityContext; s == nil || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		say("all system calls are open to it")
	}
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		say("it has a token")
	}
	if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
		say("names of other services get into its environment")
	}
	for _, c := range spec.Containers {
		bad = append(bad, checkContainer(name, c)...)
	}
	return bad
}

func checkContainer(name string, c corev1.Container) (bad complaints) {
	say := func(format string, args ...any) { bad.add(name+": "+format, args...) }
	if !pinned(c.Image) {
		say("the image %q has no version", c.Image)
	}
	s := c.SecurityContext
	if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		say("its file system can be written")
	}
	if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		say("it may gain privileges")
	}
	if s == nil || s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0 {
		say("it keeps capabilities")
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		say("it asks for no CPU or memory, or has no limit of memory")
	}
	for kind, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe == nil {
			say("there is no %s probe", kind)
		}
	}
	for _, m := range c.VolumeMounts {
		if strings.HasPrefix(m.MountPath, "/etc") && !m.ReadOnly || strings.HasPrefix(m.MountPath, "/run/secrets") && !m.ReadOnly {
			say("%s can be changed from within", m.MountPath)
		}
	}
	return bad
}

// checkAround wants a policy for the network of every pod, and a budget for
// those of which there are several.
func (c *cluster) checkAround(name string, p pods) (bad complaints) {
	if !slices.ContainsFunc(c.policies, func(n *networkingv1.NetworkPolicy) bool {
		return fits(&n.Spec.PodSelector, p) && len(n.Spec.PolicyTypes) == 2 && len(n.Spec.Ingress) > 0
	}) {
		bad.add("%s: its network is open", name)
	}
	if p.kind == "Deployment" && !slices.ContainsFunc(c.budgets, func(b *policyv1.PodDisruptionBudget) bool { return fits(b.Spec.Selector, p) }) {
		bad.add("%s: all of it may be drained at once", name)
	}
	return bad
}

func (c *cluster) checkAutoscalers(metrics map[string]bool) (bad complaints) {
	for _, a := range c.autoscalers {
		if p, ok := c.pods[a.Spec.ScaleTargetRef.Name]; !ok || p.kind != a.Spec.ScaleTargetRef.Kind {
			bad.add("HorizontalPodAutoscaler %s: there is no %s", a.Name, a.Spec.ScaleTargetRef.Name)
		}
		for _, m := range a.Spec.Metrics {
			if m.Pods != nil && !metrics[m.Pods.Metric.Name] {
				bad.add("HorizontalPodAutoscaler %s: nobody exports %s", a.Name, m.Pods.Metric.Name)
			}
		}
		if a.Spec.MinReplicas == nil || *a.Spec.MinReplicas < 2 {
			bad.add("HorizontalPodAutoscaler %s: one replica is none while it restarts", a.Name)
		}
	}
	return bad
}

func (c *cluster) checkIngresses() (bad complaints) {
	for _, i := range c.ingresses {
		if len(i.Spec.TLS) == 0 {
			bad.add("Ingress %s: without TLS", i.Name)
		}
		const prefix = "nginx.ingress.kubernetes.io/"
		if got := i.Annotations[prefix+"proxy-read-timeout"]; got != "75" {
			bad.add("Ingress %s: got a timeout of %q s, and 75 in nginx.conf", i.Name, got)
		}
		if got := i.Annotations[prefix+"proxy-next-upstream"]; got != "error timeout http_503" {
			bad.add("Ingress %s: it repeats on %q", i.Name, got)
		}
		for _, rule := range i.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				if !c.hasPort(p.Backend.Service.Name, p.Backend.Service.Port.Name) {
					bad.add("Ingress %s: there is no %s", i.Name, p.Backend.Service.Name)
				}
			}
		}
	}
	return bad
}

// checkRoutes wants no limit of time for sockets and the streams that take their place, and one for
// all else.
func (c *cluster) checkRoutes() (bad complaints) {
	for _, o := range c.routes {
		var route struct {
			Spec struct {
				Rules []struct {
					Matches []struct {
						Path    struct{ Value string }
						Headers []struct{ Value string }
					}
					Timeouts    struct{ Request, BackendRequest string }
					BackendRefs []struct {
						Name string
						Port int32
					}
				}
			}
		}
		if err := json.Unmarshal(o.json(), &route); err != nil {
			bad.add("%s: %v", o, err)
		}
		for _, rule := range route.Spec.Rules {
			for _, to := range rule.BackendRefs {
				if !slices.ContainsFunc(c.services, func(s *corev1.Service) bool { return s.Name == to.Name && s.Spec.Ports[0].Port == to.Port }) {
					bad.add("%s: there is no %s:%d", o, to.Name, to.Port)
				}
				for _, m := range rule.Matches {
					open := strings.HasSuffix(m.Path.Value, "/ws") || len(m.Headers) > 0 && m.Headers[0].Value == "text/event-stream"
					if cut := rule.Timeouts.Request != "0s" || rule.Timeouts.BackendRequest != "0s"; cut == open {
						bad.add("%s: the limit of %s is %q", o, m.Path.Value, rule.Timeouts.Request)
					}
				}
			}
		}
	}
	return bad
}

// checkNames wants names to be asked for in all kinds of clusters.
func (c *cluster) checkNames() (bad complaints) {
	for _, policy := range c.policies {
		if !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) || !fits(&policy.Spec.PodSelector, c.pods["lockstep"]) ||
			!slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			continue
		}
		reached := map[string]bool{}
		for _, rule := range policy.Spec.Egress {
			for _, to := range rule.To {
				for _, port := range rule.Ports {
					place := ""
					switch {
					case to.IPBlock != nil:
						place = to.IPBlock.CIDR
					case to.NamespaceSelector != nil:
						place = to.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]
					}
					if port.Protocol != nil && port.Port != nil {
						reached[fmt.Sprintf("%s %s %s", place, *port.Protocol, port.Port)] = true
					}
				}
			}
		}
		for _, protocol := range []string{"UDP", "TCP"} {
			for what, want := range map[string]string{"kube-dns": "kube-system %s 53", "NodeLocal DNSCache": "169.254.20.10/32 %s 53", "OpenShift": "openshift-dns %s 5353"} {
				if !reached[fmt.Sprintf(want, protocol)] {
					bad.add("NetworkPolicy %s: names of %s can't be asked for over %s", policy.Name, what, protocol)
				}
			}
		}
	}
	return bad
}

func (c *cluster) hasPort(service, port string) bool {
	return slices.ContainsFunc(c.services, func(s *corev1.Service) bool {
		return s.Name == service && slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == port })
	})
}

// checkReplica checks what is particular to the program.
func (c *cluster) checkReplica(known map[string]bool) (bad complaints) {
	p, ok := c.pods["lockstep"]
	if !ok || p.template.Spec.Containers[0].Name != "web" {
		bad.add("there is no lockstep")
		return bad
	}
	web := p.template.Spec.Containers[0]
	config := map[string]string{}
	for _, from := range web.EnvFrom {
		if from.ConfigMapRef == nil || c.configs[from.ConfigMapRef.Name] == nil {
			bad.add("lockstep: its settings are not there")
			continue
		}
		maps.Copy(config, c.configs[from.ConfigMapRef.Name])
	}
	for _, e := range web.Env {
		config[e.Name] = e.Value
	}
	for name := range config {
		if !known[name] {
			bad.add("lockstep: the program knows no %s", name)
		}
	}
	bad = append(bad, checkGrace(p.template.Spec, web, config["DRAIN"])...)
	for kind, path := range map[*corev1.Probe]string{web.StartupProbe: "/readyz", web.ReadinessProbe: "/readyz/draining", web.LivenessProbe: "/healthz"} {
		if kind != nil && (kind.HTTPGet == nil || kind.HTTPGet.Path != path) {
			bad.add("lockstep: a probe does not ask %s", path)
		}
		if _, secure := config["TLS_CERT"]; kind != nil && kind.HTTPGet != nil && (kind.HTTPGet.Scheme == corev1.URISchemeHTTPS) != secure {
			bad.add("lockstep: a probe speaks %s", kind.HTTPGet.Scheme)
		}
	}
	for _, name := range []string{"SECRET_FILE", "PUBSUB_URL_FILE", "STORE_URL_FILE", "OPS_TOKEN_FILE", "TLS_CERT", "TLS_KEY"} {
		if _, said := config[name]; !said && name != "SECRET_FILE" && name != "PUBSUB_URL_FILE" {
			continue
		}
		if !slices.ContainsFunc(web.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(config[name], m.MountPath+"/") }) {
			bad.add("lockstep: %s %q is not mounted", name, config[name])
		}
	}
	if !strings.HasSuffix(config["ADMIN_ADDR"], ":9090") || !slices.ContainsFunc(web.Ports, func(p corev1.ContainerPort) bool { return p.Name == "admin" && p.ContainerPort == 9090 }) {
		bad.add("lockstep: its metrics are not at port 9090")
	}
	if len(p.template.Spec.TopologySpreadConstraints) < 2 {
		bad.add("lockstep: all replicas may be on one machine")
	}
	return bad
}

// checkGrace: preStop, drain and what is under way fit into what is given.
func checkGrace(spec corev1.PodSpec, web corev1.Container, drain string) (bad complaints) {
	var wait time.Duration
	if l := web.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
		wait = time.Duration(l.PreStop.Sleep.Seconds) * time.Second
	}
	if wait < 5*time.Second {
		bad.add("lockstep: it drains before balancers know that it is going")
	}
	d, err := time.ParseDuration(drain)
	if need := wait + d + beyondDrain; err != nil || spec.TerminationGracePeriodSeconds == nil || time.Duration(*spec.TerminationGracePeriodSeconds)*time.Second <= need {
		bad.add("lockstep: it is killed before it has drained, which takes %s (DRAIN %q)", need, drain)
	}
	return bad
}

func factsOf(t *testing.T) facts { return facts{settings(t), exported(t)} }

func TestTheManifestsKeepTheRules(t *testing.T) {
	f := factsOf(t)
	for _, dir := range kustomizations {
		t.Run(dir, func(t *testing.T) {
			c, err := buildCluster(dir, "", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, complaint := range checkCluster(c, f) {
				t.Error(complaint)
			}
		})
	}
}

func TestEachRuleOfTheManifestsObjects(t *testing.T) {
	f := factsOf(t)
	for file, breaches := range map[string][]breach{
		"base/kustomization.yaml": {
			{"a setting that does not exist", "DRAIN=30s", "DRIAN=30s", "the program knows no DRIAN"},
			{"killed while it drains", "DRAIN=30s", "DRAIN=45s", "killed before it has drained"},
			{"a secret elsewhere", "SECRET_FILE=/run/secrets/lockstep", "SECRET_FILE=/run/other", "SECRET_FILE"},
			{"metrics on localhost", "ADMIN_ADDR=:9090", "ADMIN_ADDR=localhost:0", "its metrics are not at port 9090"},
			{"an image without version", "newTag: v1.0.0", "newTag: latest", "has no version"},
			{"a key that does not exist", "configMapGenerator:", "configMapGenerators:", "configMapGenerators"},
			{"a file that is not there", "  - service.yaml", "  - services.yaml", "services.yaml"},
		},
		"base/deployment.yaml": {
			{"a field that does not exist", "minReadySeconds", "minimumReadySeconds", "unknown field"},
			{"a field twice", "  minReadySeconds: 5", "  minReadySeconds: 5\n  minReadySeconds: 6", "minReadySeconds"},
			{"a value of another type", "revisionHistoryLimit: 3", "revisionHistoryLimit: three", "revisionHistoryLimit"},
			{"root", "runAsNonRoot: true", "runAsNonRoot: false", "it may run as root"},
			{"user 0", "runAsUser: 65532", "runAsUser: 0", "it may run as root"},
			{"all system calls", "type: RuntimeDefault", "type: Unconfined", "all system calls"},
			{"a token", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "it has a token"},
			{"links", "enableServiceLinks: false", "enableServiceLinks: true", "names of other services"},
			{"a file system to write to", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "its file system"},
			{"privileges", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may gain privileges"},
			{"capabilities", "drop: [ALL]", "drop: [KILL]", "keeps capabilities"},
			{"no limit of memory", "limits: {memory: 512Mi}", "limits: {cpu: 1}", "no limit of memory"},
			{"no requests", "requests: {cpu: 250m, memory: 128Mi}", "requests: {memory: 128Mi}", "asks for no CPU"},
			{"no startup probe", "          startupProbe:\n            httpGet: {path: /readyz, port: http, scheme: HTTP}\n            periodSeconds: 1\n            failureThreshold: 60\n", "", "there is no startup probe"},
			{"another readiness", "path: /readyz/draining", "path: /readyz", "does not ask /readyz/draining"},
			{"another liveness", "path: /healthz", "path: /readyz", "does not ask /healthz"},
			{"no wait", "preStop: {sleep: {seconds: 10}}", "preStop: {sleep: {seconds: 1}}", "drains before balancers know"},
			{"too little grace", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 50", "killed before it has drained"},
			{"another selector", "&labels {app.kubernetes.io/name: lockstep}", "&labels {app.kubernetes.io/name: lockstp}", "its selector does not fit"},
			{"one machine", "topologySpreadConstraints", "x-spread", "x-spread"},
			{"secrets to change", "readOnly: true}", "readOnly: false}", "/run/secrets/lockstep can be changed"},
		},
		"base/service.yaml": {
			{"no pods", "app.kubernetes.io/name: lockstep", "app.kubernetes.io/name: other", "it selects no pod"},
		},
		"base/account.yaml": {
			{"a token", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "pods get a token"},
		},
		"base/disruption.yaml": {
			{"other pods", "app.kubernetes.io/name: lockstep", "app.kubernetes.io/name: other", "drained at once"},
		},
		"base/network.yaml": {
			{"other pods", "podSelector: {matchLabels: {app.kubernetes.io/name: lockstep}}", "podSelector: {matchLabels: {app: x}}", "its network is open"},
			{"only one way", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]", "its network is open"},
			{"no NodeLocal DNS", "169.254.20.10/32", "169.254.20.11/32", "names of NodeLocal DNSCache"},
			{"no OpenShift", "port: 5353", "port: 53", "names of OpenShift can't be asked for over UDP"},
			{"no names over TCP", "{protocol: TCP, port: 53}", "{protocol: UDP, port: 53}", "names of kube-dns can't be asked for over TCP"},
		},
		"base/autoscaler.yaml": {
			{"nothing to scale", "kind: Deployment, name: lockstep", "kind: Deployment, name: web", "there is no web"},
			{"a metric that does not exist", "lockstep_sessions", "lockstep_tabs", "nobody exports lockstep_tabs"},
			{"one replica", "minReplicas: 3", "minReplicas: 1", "one replica is none"},
		},
		"components/gateway/routes.yaml": {
			{"sockets that are cut", "{request: 0s, backendRequest: 0s}", "{request: 60s, backendRequest: 0s}", "the limit of /ws is \"60s\""},
			{"pages without a limit", "{request: 60s, backendRequest: 60s}", "{request: 0s, backendRequest: 0s}", "the limit of / is \"0s\""},
			{"streams that are cut", "          headers: [{type: Exact, name: Accept, value: text/event-stream}]\n", "", "the limit of / is"},
			{"a service that does not exist", "name: lockstep, port: 80", "name: web, port: 80", "there is no web:80"},
			{"another port", "name: lockstep, port: 80", "name: lockstep, port: 8000", "there is no lockstep:8000"},
		},
		"components/tls/kustomization.yaml": {
			{"a probe without TLS", "readinessProbe: {httpGet: {scheme: HTTPS}}", "readinessProbe: {httpGet: {scheme: HTTP}}", "a probe speaks HTTP"},
			{"a certificate elsewhere", "TLS_CERT=/run/tls", "TLS_CERT=/run/certs", "TLS_CERT"},
		},
		"components/ingress/ingress.yaml": {
			{"no TLS", "  tls:\n    - hosts: [lockstep.example.com]\n      secretName: lockstep-tls\n", "", "without TLS"},
			{"sockets cut while quiet", `proxy-read-timeout: "75"`, `proxy-read-timeout: "15"`, "a timeout of \"15\""},
			{"forms repeated", "error timeout http_503", "error timeout http_503 non_idempotent", "it repeats on"},
			{"a service that does not exist", "service: {name: lockstep", "service: {name: web", "there is no web"},
		},
	} {
		rules := func(t *testing.T, text string) []string {
			c, err := buildCluster(overlayWith(file), file, text)
			if err != nil {
				return []string{err.Error()}
			}
			return checkCluster(c, f)
		}
		t.Run(file, func(t *testing.T) { provoke(t, read(t, "deploy/kubernetes/"+file), rules, breaches) })
	}
}

// TestOverlaysReachWhatIsOutsideOfTheCluster: what the URL in their heads says, and a policy of the
// network that lets it out.
func TestOverlaysReachWhatIsOutsideOfTheCluster(t *testing.T) {
	for overlay, ports := range map[string][]string{"redis": {"6379", "6380"}, "postgres": {"5432"}, "nats": {"4222"}} {
		c, err := buildCluster("overlays/external-"+overlay, "", "")
		if err != nil {
			t.Fatal(err)
		}
		var reached []string
		for _, policy := range c.policies {
			for _, rule := range policy.Spec.Egress {
				if rule.To[0].IPBlock == nil || !fits(&policy.Spec.PodSelector, c.pods["lockstep"]) {
					continue
				}
				for _, port := range rule.Ports {
					reached = append(reached, port.Port.String())
				}
			}
		}
		if !slices.Equal(reached, ports) {
			t.Errorf("external-%s: got the ports %v, want %v", overlay, reached, ports)
		}
	}
}

// overlayWith is a kustomization that has the file.
func overlayWith(file string) string {
	switch {
	case strings.HasPrefix(file, "components/ingress/"):
		return "overlays/ingress"
	case strings.HasPrefix(file, "components/"):
		return "overlays/tls"
	}
	return "base"
}

// TestRedisIsTheSameEverywhere: kustomize may not read outside of its folder,
// so there is a copy.
func TestRedisIsTheSameEverywhere(t *testing.T) {
	if got, want := read(t, "deploy/kubernetes/overlays/redis/redis.conf"), read(t, "deploy/redis.conf"); got != want {
		t.Errorf("got\n%s\nwant what deploy/redis.conf has:\n%s", got, want)
	}
	compose := read(t, "docker-compose.yml")
	c, err := buildCluster("overlays/redis", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if image := c.pods["redis"].template.Spec.Containers[0].Image; !strings.Contains(compose, "image: "+image+"\n") {
		t.Errorf("got %s, want the image of docker-compose.yml", image)
	}
}
