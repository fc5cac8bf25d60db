package browser

import (
	"container/heap"
	"time"
)

// A timer is something that a tab does at a time.
type timer struct {
	at   int64  // ns
	tab  int32  // its index
	life uint32 // of the tab: a timer of an earlier life does nothing
	what timerKind
}

// A timerKind is what a timer is for.
type timerKind int8

const (
	timerOpen   timerKind = iota // connect, or join if there is no page
	timerResend                  // send again what the server could not take
	timerRead                    // read, as a slow tab does now and then
	timerPoll                    // ask what is new, without a websocket
)

// after has a tab do something later.
func (l *loop) after(t *tab, d time.Duration, what timerKind) {
	heap.Push(&l.timers, timer{at: l.fleet.now() + int64(d), tab: t.index, life: t.life, what: what})
}

// fireTimers has tabs do what they wanted to do by now.
func (l *loop) fireTimers(now int64) {
	for len(l.timers) > 0 && l.timers[0].at <= now {
		t, _ := heap.Pop(&l.timers).(timer) // nothing else was pushed
		if tab := &l.tabs[t.tab]; tab.life == t.life {
			tab.fire(l, t.what, now)
		}
	}
}

// timers are a heap: the first is due first.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	next, _ := x.(timer) // nothing else is pushed
	*t = append(*t, next)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	*t = (*t)[:last]
	return x
}
