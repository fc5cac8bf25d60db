package web

import (
	"encoding/json"
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
		s = s.click(c).vote(i%len(drinks()), c)
		if len(s.Course) > kept || len(s.Votes) > maxVoters || len(s.Deeds) > told {
			t.Fatalf("after %d people: %d numbers, %d votes, %d deeds", i+1, len(s.Course), len(s.Votes), len(s.Deeds))
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
