package e2e_test

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAMasterOfARedisClusterDiesInTheMiddleOfClicks: that of the counter, of three
// masters that have a replica each.
func TestAMasterOfARedisClusterDiesInTheMiddleOfClicks(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redisCluster, demo().kinds[0], true)
	w.failsOver(func() { w.master().Kill() })
}

// TestAMasterThatSentinelWatchesDiesInTheMiddleOfClicks: its replica takes over.
func TestAMasterThatSentinelWatchesDiesInTheMiddleOfClicks(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), sentinel, demo().kinds[0], true)
	w.failsOver(func() {
		w.watched.Master.Kill()
		w.watched.AwaitSwitch()
	})
	for _, p := range w.ps {
		if strings.Contains(p.out.String(), "hunter") {
			t.Error("a secret is shown")
		}
	}
}

// keyOf returns the key of a topic's state: what stands in braces decides where
// it is.
func keyOf(prefix, topic string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(topic)) // it does not fail
	return fmt.Sprintf("{%s/%d}state:%s", prefix, h.Sum32()%16, topic)
}

// failsOver has a server die, without a word, while three replicas are clicked on
// a hundred times a second, and wants all to go on by itself. Clicks that are
// acknowledged count once. Redis replicates after it has answered, so it may lose
// what it acknowledged in its last moment, and no more.
func (w *cluster) failsOver(die func()) {
	w.Helper()
	w.startReplicas(3)
	w.fill(false)
	w.load()
	w.hold(time.Second)
	before, err := w.group.read()
	if err != nil {
		w.Fatal(err)
	}
	die()
	w.recovered()
	w.hold(time.Second) // it goes on working
	w.group.open(w.group.path(), w.urls()[1])
	w.settle()
	after, err := w.group.read()
	if err != nil {
		w.Fatal(err)
	}
	if after.Epoch <= before.Epoch {
		w.Errorf("got %+v after %+v: what is shown would not follow an older state", after, before)
	}
	counted, err := strconv.Atoi(after.Value)
	if err != nil {
		w.Fatal(err)
	}
	lost := w.group.h.Acknowledged() - counted
	if lost < 0 || lost > clusterRate {
		w.Errorf("%d clicks are acknowledged, and the store has %d", w.group.h.Acknowledged(), counted)
	}
	w.Logf("in step after %s; %d clicks acknowledged, %d of them lost", w.took, w.group.h.Acknowledged(), lost)
}
