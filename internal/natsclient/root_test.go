package natsclient_test

import (
	"strings"
	"testing"

	"lockstep/internal/natsclient"
)

func TestRootsAndNamesCanBeRead(t *testing.T) {
	for prefix, want := range map[string][2]string{
		"lockstep:":   {"lockstep.%state", "lockstep-state"},
		"lockstep":    {"lockstep%state", "lockstepstate"},
		"a:b:":        {"a.b.%state", "a-b-state"},
		"a.b-c_d/e:":  {"a%2Eb-c_d/e.%state", "a_252Eb_2Dc_5Fd_2Fe-state"},
		":":           {"%.%state", "_25-state"},
		"":            {"%state", "state"},
		"_x:":         {"%5Fx.%state", "_255Fx-state"},
		"\U0001f642:": {"\U0001f642.%state", "_F0_9F_99_82-state"},
	} {
		root := natsclient.Root(prefix)
		if name := natsclient.Name(root); root != want[0] || name != want[1] {
			t.Errorf("%q: got %q and %q, want %q", prefix, root, name, want)
		}
	}
}

// FuzzRoot wants that nothing else is where an application keeps its states: no topic
// of whatever application, and no state of another.
func FuzzRoot(f *testing.F) {
	long := strings.Repeat("x:", 200)
	for _, s := range [][3]string{{"a:", "a", "x"}, {"a", "a:", "%state"}, {"a:", "a:%state:", "x"}, {long, long + "x", "y"}, {"a%state", "a", "state"}, {"", ":", "%"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, prefix, other, topic string) {
		root := natsclient.Root(prefix)
		if len(root) > 140 || strings.HasPrefix(root, "_") || strings.ContainsAny(root, " *>$") {
			t.Errorf("%q has the root %q", prefix, root)
		}
		if s := natsclient.Subject(other + topic); s == root || strings.HasPrefix(s, root+".") {
			t.Errorf("%q is in %q", s, root)
		}
		if prefix == other {
			return
		}
		if r := natsclient.Root(other); r == root || strings.HasPrefix(r, root+".") || natsclient.Name(r) == natsclient.Name(root) {
			t.Errorf("%q and %q have the roots %q and %q", prefix, other, root, r)
		}
		if token := natsclient.Token(prefix); prefix != "" && (token == natsclient.Token(other) || len(token) > 200 || strings.ContainsAny(token, ". *>")) {
			t.Errorf("%q and %q are %q", prefix, other, token)
		}
	})
}
