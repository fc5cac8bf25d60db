package flags_test

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lockstep/internal/flags"
)

// set has a flag of each kind.
func set() *flags.Grouped {
	s := flags.New("program")
	s.Group("Some")
	s.Duration("drain", 5*time.Second, "how long it takes")
	s.Int("replicas", 1, "`number` of replicas, which this says in so many words that they don't have room in a line of a hundred columns")
	s.Uint64("seed", 0, "what repeats it")
	s.Float64("share", 0, "`share` of the whole")
	s.Bool("version", false, "print the version")
	s.String("addr", "localhost:8000", "listen `address`")
	s.Func("export", "`folder`", func(dir string) error {
		if dir == "" {
			return errors.New("it names no folder")
		}
		return nil
	})
	s.Note("drain", "replicas")
	s.Group("Others")
	s.Note("version", "addr")
	s.Env["addr"] = "ADDR"
	return s
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	for args, want := range map[string]string{
		"-drain 5":                         `-drain: "5" has no unit: did you mean 5s?`,
		"-drain 1.5":                       `-drain: "1.5" has no unit: did you mean 1.5s?`,
		"-drain 5sec":                      `-drain: "5sec" is no duration: did you mean 5s?`,
		"-drain 5S":                        `-drain: "5S" is no duration: did you mean 5s?`,
		"-drain 2minutes":                  `-drain: "2minutes" is no duration: did you mean 2m?`,
		"-drain 3hours":                    `-drain: "3hours" is no duration: did you mean 3h?`,
		"-drain 250millis":                 `-drain: "250millis" is no duration: did you mean 250ms?`,
		"-drain 1d":                        `-drain: "1d" is no duration: did you mean 24h?`,
		"-drain soon":                      `-drain: "soon" is no duration such as 250ms, 1.5s, 2m or 1h`,
		"-drain 1.2.3":                     `-drain: "1.2.3" is no duration such as 250ms, 1.5s, 2m or 1h`,
		"-drain=":                          `-drain: "" is no duration such as 250ms, 1.5s, 2m or 1h`,
		"-replicas three":                  `-replicas: "three" is not a whole number`,
		"-replicas 2.5":                    `-replicas: "2.5" is not a whole number`,
		"-replicas 1e3":                    `-replicas: "1e3" is not a whole number: did you mean 1000?`,
		"-replicas 10k":                    `-replicas: "10k" is not a whole number: did you mean 10000?`,
		"-replicas 10,000":                 `-replicas: "10,000" is not a whole number: did you mean 10000?`,
		"-replicas 9999999999999999999999": `-replicas: "9999999999999999999999" is too large`,
		"-seed -1":                         `-seed: "-1" is less than 0`,
		"-share 0,5":                       `-share: "0,5" is not a number: did you mean 0.5?`,
		"-share 50%":                       `-share: "50%" is not a number: did you mean 0.5?`,
		"-share half":                      `-share: "half" is not a number`,
		"-version=maybe":                   `-version: "maybe" is neither true nor false`,
		"-export=":                         `-export: "": it names no folder`,
		"-relicas 3":                       "there is no flag -relicas: did you mean -replicas?",
		"-repilcas 3":                      "there is no flag -repilcas: did you mean -replicas?",
		"-v":                               "there is no flag -v: did you mean -version?",
		"-address x":                       "there is no flag -address: did you mean -addr?",
		"--ADDR x":                         "there is no flag -ADDR: did you mean -addr?",
		"-bogus":                           "there is no flag -bogus",
		"-addr":                            "-addr needs a value",
		"-addr -replicas 3":                "-addr: it has no value: the next word is the flag -replicas",
		"-drain --replicas=3":              "-drain: it has no value: the next word is the flag -replicas",
		"---x":                             "bad flag syntax: ---x",
	} {
		if err := set().Parse(strings.Fields(args)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
}

func TestWhatIsRightIsTaken(t *testing.T) {
	s := set()
	if err := s.Parse(strings.Fields("-drain 5s -replicas 3 -seed 7 -share .5 -version -addr - -export x rest -addr y")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"drain": "5s", "replicas": "3", "seed": "7", "share": "0.5", "version": "true", "addr": "-"} {
		if got := s.Lookup(name).Value.String(); got != want {
			t.Errorf("-%s: got %s, want %s", name, got, want)
		}
	}
	if !slices.Equal(s.Args(), []string{"rest", "-addr", "y"}) {
		t.Errorf("got the arguments %q", s.Args())
	}
	if err := s.Set("drain", "7"); err == nil || err.Error() != `"7" has no unit: did you mean 7s?` {
		t.Errorf("got %v", err)
	}
	if err := s.Set("drain", "7s"); err != nil || s.Lookup("drain").Value.String() != "7s" {
		t.Errorf("got %v", err)
	}
}

func TestHelpIsAskedForInManyWays(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"-help"}, {"--help"}, {"help"}, {"help", "drain"}} {
		if err := set().Parse(flags.Words(args)); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: got %v", args, err)
		}
	}
	s := set()
	if err := s.Parse(flags.Words([]string{"version"})); err != nil || s.Lookup("version").Value.String() != "true" {
		t.Errorf("got %v", err)
	}
	if got := flags.Words([]string{"-addr", "version"}); got[1] != "version" {
		t.Errorf("got %q", got)
	}
}

func TestHelpHasGroupsVariablesAndDefaults(t *testing.T) {
	for _, parsed := range []bool{false, true} {
		s := set()
		if parsed {
			_ = s.Parse([]string{"-h"})
		}
		var b strings.Builder
		s.Help(&b, "About it.\n")
		for _, want := range []string{
			"About it.\n\nSome\n  -drain duration\n        how long it takes (default 5s)\n  -replicas number\n",
			"\n\nOthers\n  -version\n        print the version\n  -addr address  (ADDR)\n        listen address (default localhost:8000)\n",
		} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("parsed %t: got %s, want %q in it", parsed, b.String(), want)
			}
		}
		for l := range strings.Lines(b.String()) {
			if utf8.RuneCountInString(l) > flags.Width+1 {
				t.Errorf("too wide: %q", l)
			}
		}
	}
	if got := set().Names(); !slices.Equal(got, []string{"drain", "replicas", "version", "addr"}) {
		t.Errorf("got %q", got)
	}
}

func TestASecretIsNotSaid(t *testing.T) {
	s := set()
	s.Func("header", "`line` of a request", func(string) error { return errors.New("it has no colon") })
	s.Secret("header")
	if err := s.Parse([]string{"-header", "hunter2"}); err == nil || err.Error() != "-header: it has no colon" {
		t.Errorf("got %v", err)
	}
}

func TestAStrayWordIsNotSaid(t *testing.T) {
	for word, want := range map[string]string{"hunter2": "", "version": "did you mean -version?", "true": "a switch has its value behind a =, as in -switch=true"} {
		if got := set().Stray(word); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
