package version

import (
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheVersionOfABuild(t *testing.T) {
	const full = "0123456789abcdef0123456789abcdef01234567"
	checkout := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: full}, {Key: "vcs.modified", Value: "false"}}
	changed := []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: full}}
	for _, c := range []struct {
		name, release string
		info          *debug.BuildInfo
		want          string
	}{
		{"a release", "v0.9.1", &debug.BuildInfo{Settings: checkout}, "v0.9.1"},
		{"a checkout", "", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026-x"}, Settings: checkout}, Next + "-dev+0123456789ab"},
		{"a checkout with changes", "", &debug.BuildInfo{Settings: changed}, Next + "-dev+0123456789ab.dirty"},
		{"a checkout whose revision is left out", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, Next + "-dev"},
		{"changes of no revision", "", &debug.BuildInfo{Settings: changed[:1]}, Next + "-dev"},
		{"an installed module", "", &debug.BuildInfo{Main: debug.Module{Version: "v0.8.0"}}, "v0.8.0"},
		{"nothing known", "", nil, Next + "-dev"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := of(c.release, c.info); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if got := Of(""); !strings.HasPrefix(got, Next+"-dev") {
		t.Errorf("got %s for this test, want a version in development", got)
	}
}

func TestTheNextVersionIsSemantic(t *testing.T) {
	if !regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`).MatchString(Next) {
		t.Errorf("%q is not a semantic version", Next)
	}
}
