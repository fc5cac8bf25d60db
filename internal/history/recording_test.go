package history_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/internal/history"
)

// A clock tells the time that a test says.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func newRecording() (*history.Recording, *clock) {
	c := &clock{time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	return history.NewRecording(c.now), c
}

// record records a chapter without a breach: two tabs on two replicas, of which b is frozen for a
// while; n clicks.
func record(r *history.Recording, c *clock, from, n int) {
	r.Begin(at(from))
	r.Joined("1", "a", at(from))
	r.Shown("1", at(from))
	r.Joined("2", "b", at(from))
	r.Shown("2", at(from))
	c.pass(10 * time.Second)
	r.Fault("freeze", "b", time.Second)
	for i := from + 1; i <= from+n; i++ {
		r.Sent("1", increment(i))
		c.pass(20 * time.Millisecond)
		r.Shown("1", at(i))
		r.Acked("1", id(i))
		c.pass(180 * time.Millisecond)
		r.Shown("2", at(i))
	}
	c.pass(10 * time.Second)
	r.Sent("1", increment(from+n+1))
	r.Shown("1", at(from+n+1))
	r.Acked("1", id(from+n+1))
	c.pass(40 * time.Millisecond)
	r.Shown("2", at(from+n+1))
	r.End(at(from+n+1), "1", "2")
}

func written(t *testing.T, r *history.Recording) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestARecordingIsJudgedAgainFromItsFile(t *testing.T) {
	r, c := newRecording()
	record(r, c, 0, 3)
	record(r, c, 4, 5)
	got := r.Verdict()
	want := history.Verdict{Since: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC), Clicks: 10, Faults: 2, Worst: 40 * time.Millisecond, Ill: 180 * time.Millisecond}
	if !reflect.DeepEqual(got, want) || !got.Holds() {
		t.Errorf("got %+v, want %+v", got, want)
	}
	again, err := history.ReadVerdict(strings.NewReader(written(t, r)))
	if err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("from the file: got %+v, %v, want %+v", again, err, got)
	}
	const line = "since 2026-11-30 09:00:00 UTC: 10 clicks, 2 faults, 0 lost, 0 twice; worst tab 40 ms, of broken replicas 180 ms"
	if got.String() != line {
		t.Errorf("got %q, want %q", got.String(), line)
	}
}

func TestWhatIsPlantedInAFileIsFound(t *testing.T) {
	r, c := newRecording()
	record(r, c, 0, 3)
	good := written(t, r)
	for _, p := range []struct {
		name, from, to string
		check          func(v history.Verdict) bool
	}{
		{"a click that is lost", `"end":[1,9,"14"]`, `"end":[1,9,"13"]`, func(v history.Verdict) bool { return v.Lost == 1 && v.Twice == 0 }},
		{"a click that counts twice", `"end":[1,9,"14"]`, `"end":[1,9,"15"]`, func(v history.Verdict) bool { return v.Twice == 1 && v.Lost == 0 }},
		{"a tab that goes back", `"tab":"2","shown":[1,8,"13"]`, `"tab":"2","shown":[1,5,"10"]`, func(v history.Verdict) bool { return v.Broken > 0 }},
		{"a tab that is never in step", `"tab":"2","shown":[1,9,"14"]`, `"tab":"2","shown":[1,8,"13"]`, func(v history.Verdict) bool { return v.Broken > 0 }},
		{"a refused click that counts", `"tab":"1","acked":["op-2",1]`, `"tab":"1","refused":["op-2",1],"reason":"no"`, func(v history.Verdict) bool { return v.Twice == 1 }},
	} {
		t.Run(p.name, func(t *testing.T) {
			bad := strings.Replace(good, p.from, p.to, 1)
			v, err := history.ReadVerdict(strings.NewReader(bad))
			if bad == good || err != nil || v.Holds() || !p.check(v) {
				t.Errorf("got %+v, %v", v, err)
			}
		})
	}
}

func TestABadFileIsNamedByItsLine(t *testing.T) {
	r, c := newRecording()
	record(r, c, 0, 1)
	good := written(t, r)
	first, rest, _ := strings.Cut(good, "\n")
	for name, bad := range map[string]string{
		"line 1: the file is empty":                    "",
		"line 1: it does not begin":                    "{}\n",
		"line 1: invalid character":                    "PK\x03\n",
		"line 1: it is of format 2":                    strings.Replace(good, `"lockstep_history":1`, `"lockstep_history":2`, 1),
		"line 1: it is of a \"poll\"":                  strings.Replace(good, `"kind":"counter"`, `"kind":"poll"`, 1),
		"line 2: a chapter begins and ends once":       first + "\n" + `{"ms":1,"tab":"1","left":true}` + "\n",
		"line 2: it is no event":                       first + "\n{}\n",
		"line 2: json: unknown field":                  first + "\n" + `{"x":1}` + "\n",
		"line 2: it is longer than 16384 bytes":        first + "\n" + strings.Repeat("x", history.MaxLine+1) + "\n",
		"line 3: its time is not after those before":   first + "\n" + `{"ms":5,"begin":[1,1,"0"]}` + "\n" + `{"ms":4,"tab":"1","left":true}` + "\n",
		"line 2: \"x\" is no count":                    first + "\n" + `{"begin":[1,1,"x"]}` + "\n",
		"line 2: there is more than one object":        first + "\n" + `{"begin":[1,1,"1"]} {}` + "\n",
		"line 3: \"reset\" is nothing that":            first + "\n" + `{"begin":[1,1,"1"]}` + "\n" + `{"tab":"1","sent":["a",1],"do":"reset"}` + "\n",
		"the last chapter has no end":                  first + "\n" + rest[:strings.LastIndex(strings.TrimSpace(rest), "\n")+1],
		"line 10002: the chapter has more than 10000 ": first + "\n" + `{"begin":[1,1,"1"]}` + "\n" + strings.Repeat(`{"tab":"1","left":true}`+"\n", history.MaxChapter),
	} {
		_, err := history.ReadVerdict(strings.NewReader(bad))
		if !errors.Is(err, history.ErrFile) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// TestARecordingIsBounded: what is judged, and when it began, is always that of the file.
func TestARecordingIsBounded(t *testing.T) {
	r, c := newRecording()
	for i, from := 0, 0; i < 400; i++ {
		record(r, c, from, 100)
		from += 101
	}
	got := r.Verdict()
	file := written(t, r)
	if n := strings.Count(file, "\n"); n > history.MaxEvents+1 || n < history.MaxEvents/2 {
		t.Errorf("the file has %d lines", n)
	}
	again, err := history.ReadVerdict(strings.NewReader(file))
	if err != nil || !reflect.DeepEqual(got, again) || !got.Holds() || got.Clicks%101 != 0 || got.Clicks == 400*101 {
		t.Errorf("got %+v, from the file %+v, %v", got, again, err)
	}
	r.Begin(at(0))
	for range history.MaxChapter {
		r.Left("1")
	}
	r.End(at(0))
	if v := r.Verdict(); v.Clicks != 0 || !v.Since.Equal(c.at) {
		t.Errorf("got %+v after a chapter that is too long, want a new beginning", v)
	}
}

func TestTheOpenChapterIsCounted(t *testing.T) {
	r, _ := newRecording()
	r.Sent("1", increment(1)) // no chapter has begun
	r.Fault("cut", "b", time.Second)
	r.Begin(at(0))
	for i := range 4 {
		r.Sent("1", increment(i))
	}
	r.Acked("1", id(1))
	r.Refused("1", id(2), "no")
	r.Fault("kill", "a", time.Second)
	clicks, waiting, faults := r.Open()
	if got := fmt.Sprint(clicks, waiting, faults); got != "1 2 2" {
		t.Errorf("got %s, want 1 acknowledged, 2 without an answer, 2 faults", got)
	}
	if v := r.Verdict(); v.Clicks != 0 {
		t.Errorf("got %+v before the chapter has ended", v)
	}
}

func FuzzReadVerdict(f *testing.F) {
	r, c := newRecording()
	record(r, c, 0, 2)
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"lockstep_history":1,"kind":"counter"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		v, err := history.ReadVerdict(bytes.NewReader(file))
		if err != nil && (!errors.Is(err, history.ErrFile) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("got %q", err)
		}
		if v.Lost < 0 || v.Twice < 0 || v.Worst < 0 || v.Ill < 0 {
			t.Errorf("got %+v", v)
		}
	})
}
