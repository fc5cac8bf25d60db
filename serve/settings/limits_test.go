package settings

import "testing"

func TestHowManyConnectionsThereMayBe(t *testing.T) {
	for name, c := range map[string]struct {
		flag, files int
		memory      int64
		want        int
		unmet       string
	}{
		"by the files":                      {0, 10_000, 0, 9_000, ""},
		"by the memory":                     {0, 1_000_000, 512 << 20, 52_428, ""},
		"no limit of anything":              {0, 0, 0, 0, ""},
		"no limit of files":                 {0, 0, 100 << 20, 10_240, ""},
		"a flag":                            {500, 10_000, 512 << 20, 500, ""},
		"a flag, and no limits":             {500, 0, 0, 500, ""},
		"more than the files allow":         {9_500, 10_000, 0, 9_500, "open_files"},
		"more than fit into the memory":     {60_000, 1_000_000, 512 << 20, 60_000, "memory_conns"},
		"more than files and memory can do": {60_000, 10_000, 100 << 20, 60_000, "open_files memory_conns"},
	} {
		l := Limits{MaxConns: c.flag}
		got, unmet := l.Connections(c.files, c.memory)
		names := ""
		for i, u := range unmet {
			if i > 0 {
				names += " "
			}
			names += u.Name
		}
		if got != c.want || names != c.unmet {
			t.Errorf("%s: got %d and %q, want %d and %q", name, got, names, c.want, c.unmet)
		}
	}
}
