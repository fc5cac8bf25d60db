package deploy_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitRules are the rules for the unit, of a program that knows some settings.
func unitRules(known map[string]bool) func(*testing.T, string) []string {
	return func(_ *testing.T, text string) []string { return checkUnit(text, known) }
}

func checkUnit(text string, known map[string]bool) []string {
	sections, err := unit.DeserializeSections(strings.NewReader(text))
	if err != nil {
		return []string{err.Error()}
	}
	values := map[string]string{}
	for _, s := range sections {
		for _, e := range s.Entries {
			values[s.Section+"."+e.Name] = strings.TrimSpace(values[s.Section+"."+e.Name] + " " + e.Value)
		}
	}
	var bad complaints
	for name, want := range map[string]string{
		"Restart": "always", "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
		"PrivateTmp": "yes", "PrivateDevices": "yes", "CapabilityBoundingSet": "", "StateDirectory": "lockstep",
		"WorkingDirectory": "%S/lockstep", "LoadCredential": "secret:/etc/lockstep/secret", "MemoryDenyWriteExecute": "yes",
	} {
		if got, ok := values["Service."+name]; !ok || got != want {
			bad.add("%s=%s, want %s", name, got, want)
		}
	}
	var drain string
	for kv := range strings.FieldsSeq(values["Service.Environment"]) {
		name, value, _ := strings.Cut(kv, "=")
		if !known[name] {
			bad.add("the program knows no %s", name)
		}
		if name == "DRAIN" {
			drain = value
		}
	}
	d, err := time.ParseDuration(drain)
	stop, stopErr := time.ParseDuration(values["Service.TimeoutStopSec"] + "s")
	if err != nil || stopErr != nil || stop <= d+beyondDrain {
		bad.add("it is killed after %s, before it has drained (DRAIN=%s)", stop, drain)
	}
	return bad
}

func TestTheUnitKeepsTheRules(t *testing.T) {
	for _, c := range checkUnit(read(t, "deploy/systemd/lockstep.service"), settings(t)) {
		t.Error(c)
	}
}

func TestEachRuleOfTheUnitObjects(t *testing.T) {
	provoke(t, read(t, "deploy/systemd/lockstep.service"), unitRules(settings(t)), []breach{
		{"no restart", "Restart=always", "Restart=no", "Restart=no, want always"},
		{"a user of its own", "DynamicUser=yes", "User=root", "DynamicUser=, want yes"},
		{"capabilities", "CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_NET_ADMIN\n", "CapabilityBoundingSet=CAP_NET_ADMIN"},
		{"no state", "StateDirectory=lockstep", "", "StateDirectory=, want"},
		{"killed while it drains", "TimeoutStopSec=40", "TimeoutStopSec=20", "killed after 20s"},
		{"a setting that does not exist", "DRAIN=20s", "DRIAN=20s", "the program knows no DRIAN"},
	})
}

// TestTheDocumentsNameTheSystemdThatTheUnitNeeds: each line of it is known, with the version that
// brought it (systemd's NEWS).
func TestTheDocumentsNameTheSystemdThatTheUnitNeeds(t *testing.T) {
	// What came before 240 is in every distribution that is still looked after.
	older := strings.Fields(`Description Wants After WantedBy ExecStart Environment EnvironmentFile Restart RestartSec
		TimeoutStopSec LimitNOFILE StateDirectory StateDirectoryMode WorkingDirectory UMask DynamicUser NoNewPrivileges
		CapabilityBoundingSet ProtectSystem ProtectHome ProtectControlGroups ProtectKernelModules ProtectKernelTunables
		PrivateDevices PrivateTmp PrivateUsers RemoveIPC RestrictAddressFamilies RestrictNamespaces RestrictRealtime
		LockPersonality MemoryDenyWriteExecute SystemCallArchitectures SystemCallFilter SystemCallErrorNumber`)
	since := map[string]int{
		"Type=exec": 240, "ProtectHostname": 242, "RestrictSUIDSGID": 242, "ProtectKernelLogs": 244, "ProtectClock": 245,
		"LoadCredential": 247, "ProtectProc": 247, "ProcSubset": 250, // 247, but only 250 takes it with ProtectKernelTunables
		"%d": 251,
	}
	sections, err := unit.DeserializeSections(strings.NewReader(read(t, "deploy/systemd/lockstep.service")))
	if err != nil {
		t.Fatal(err)
	}
	newest := 0
	for _, s := range sections {
		for _, e := range s.Entries {
			version, known := since[e.Name]
			if v, ok := since[e.Name+"="+e.Value]; ok {
				version, known = v, true
			}
			if !known && !slices.Contains(older, e.Name) {
				t.Errorf("%s: nobody has looked which systemd knows it", e.Name)
			}
			if strings.Contains(e.Value, "%d/") {
				version = max(version, since["%d"])
			}
			newest = max(newest, version)
		}
	}
	for _, file := range []string{"docs/deploy.md", "docs/operations.md"} {
		if want := fmt.Sprintf("systemd %d", newest); !strings.Contains(read(t, file), want) {
			t.Errorf("%s does not say that it needs %s", file, want)
		}
	}
}

// TestSystemdAcceptsTheUnit, where there is a systemd: it has no mistakes, and
// leaves little open.
func TestSystemdAcceptsTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze not found")
	}
	text := strings.Replace(read(t, "deploy/systemd/lockstep.service"), "ExecStart=/usr/local/bin/lockstep", "ExecStart=/bin/true", 1)
	path := write(t, "lockstep.service", text)
	for _, args := range [][]string{{"verify", path}, {"security", "--offline=true", "--threshold=20", path}} {
		if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
