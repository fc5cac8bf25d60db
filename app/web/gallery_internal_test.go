package web

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// A page that anybody can click in must not have a state that grows.
func TestWhatIsLiveInTheGalleryDoesNotGrow(t *testing.T) {
	var s showcase
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 * maxVoters {
		c := lockstep.Call{User: "visitor-" + strconv.Itoa(i), At: at.Add(time.Duration(i) * time.Second)}
		before := s
		s = s.click(c).vote(i%len(drinks()), c).say(strings.Repeat("ä", maxText), c)
		if len(s.Course) > kept || len(s.Votes) > maxVoters || len(s.Deeds) > told || len(s.People) > seats || len(s.Said) > maxSaid || len(s.Rates) != points {
			t.Fatalf("after %d people: %d numbers, %d votes, %d deeds, %d people, %d messages, %d points", i+1,
				len(s.Course), len(s.Votes), len(s.Deeds), len(s.People), len(s.Said), len(s.Rates))
		}
		if len(before.Votes) == maxVoters && len(s.Votes) != 1 {
			t.Errorf("with one more than %d the votes do not begin anew: there are %d", maxVoters, len(s.Votes))
		}
	}
	again := s.vote(0, lockstep.Call{User: "visitor-" + strconv.Itoa(3*maxVoters-1)})
	if len(again.Votes) != len(s.Votes) {
		t.Errorf("somebody has %d votes", 1+len(again.Votes)-len(s.Votes))
	}
	if text, err := json.Marshal(s); err != nil || len(text) > 8<<10 {
		t.Errorf("the state has %d bytes, %v", len(text), err)
	}
	var b strings.Builder
	if err := liveComponents(s).Render(t.Context(), &b); err != nil || !strings.Contains(b.String(), "votes for") {
		t.Errorf("got %s, %v", &b, err)
	}
}

func TestTheChartOfTheGalleryMovesOnWithTheTime(t *testing.T) {
	began := time.Date(2026, 1, 1, 12, 0, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		at    []time.Duration
		rates map[int]float64 // of points that are not 0, from the end
		since time.Duration   // of the newest point, from noon
	}{
		"two in one interval":      {[]time.Duration{0, 4 * time.Second}, map[int]float64{0: 2}, 0},
		"one in the next":          {[]time.Duration{0, 5 * time.Second}, map[int]float64{0: 1, 1: 1}, interval},
		"one a minute later":       {[]time.Duration{0, time.Minute}, map[int]float64{0: 1, 6: 1}, time.Minute},
		"one an hour later":        {[]time.Duration{0, time.Hour}, map[int]float64{0: 1}, time.Hour},
		"by a clock that is slow":  {[]time.Duration{0, -20 * time.Second}, map[int]float64{0: 1, 2: 1}, 0},
		"by one that is a day off": {[]time.Duration{0, -24 * time.Hour}, map[int]float64{0: 1, points - 1: 1}, 0},
	} {
		var s showcase
		for _, after := range c.at {
			before := s.Rates
			was := slices.Clone(before)
			if s = s.rate(began.Add(after)); !slices.Equal(before, was) {
				t.Errorf("%s: the state before has changed, to %v", name, before)
			}
		}
		want := make([]float64, points)
		for ago, n := range c.rates {
			want[points-1-ago] = n
		}
		if newest := s.Since.Add((points - 1) * interval).Sub(began.Truncate(time.Minute)); !slices.Equal(s.Rates, want) || newest != c.since {
			t.Errorf("%s: got %v to %s, want %v to %s", name, s.Rates, newest, want, c.since)
		}
	}
}

// TestTheTableOfTheGalleryIsSorted has those who came last, by what they have done.
func TestTheTableOfTheGalleryIsSorted(t *testing.T) {
	var s showcase
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, who := range []string{"a", "b", "b", "c", "d", "d", "d", "a", "e"} {
		at = at.Add(time.Second)
		s = s.click(lockstep.Call{User: who, UserName: who, At: at})
	}
	s = s.vote(1, lockstep.Call{User: "a", UserName: "a", At: at})
	var got []string
	for _, v := range s.People {
		got = append(got, strings.Join(s.cells(v), " "))
	}
	if want := []string{"d – 3", "a Coffee 2", "e – 1", "c – 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
