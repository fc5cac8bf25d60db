package livetest_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/livetest"
)

// TestNothingIsLeftOfAReplicaThatDied: the bubble waits for all goroutines.
func TestNothingIsLeftOfAReplicaThatDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livetest.Start(t, 2, counter)
		ann := c.Open("/")
		ann.Live()
		ann.Replica().Crash()
		ann.Replica().Crash()
		ann.Find(livetest.Role("button", "+1")).Click()
		c.Replica(1).Crash() // there is none now
		time.Sleep(time.Minute)
		ann.Sees("Reconnecting…", "1 waiting")
		c.Restart(1)
		ann.Find(livetest.CSS("output")).Says("1")
		c.Replica(1).CrashAfterCommit()
		ann.Find(livetest.Role("button", "+1")).Click()
		c.Replica(0).Start()
		ann.Answered()
		ann.Find(livetest.CSS("output")).Says("2")
	})
}

// TestEachClickCountsOnceWhateverDies kills the replica of somebody who clicks, right after the
// store has taken a click.
func TestEachClickCountsOnceWhateverDies(t *testing.T) {
	c := livetest.Start(t, 3, counter)
	ann := c.Open("/")
	for i := range 12 {
		ann.Live()
		r := ann.Replica()
		r.CrashAfterCommit()
		ann.Find(livetest.Role("button", "+1")).Click()
		ann.Find(livetest.Role("button", "+1")).Click()
		ann.Answered()
		ann.Find(livetest.CSS("output")).Says(strconv.Itoa(2 * (i + 1)))
		if r.App() != nil {
			t.Fatal("the replica lives on")
		}
		r.Start()
	}
	c.Open("/").Find(livetest.CSS("output")).Says("24")
}
