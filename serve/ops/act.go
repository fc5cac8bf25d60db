package ops

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"lockstep/pubsub"
)

// An order is what somebody wants done.
type order struct {
	To  string `json:"to"` // id of the replica; "": all
	Do  string `json:"do"`
	Arg string `json:"arg,omitempty"` // number of a tab, or a topic
	At  int64  `json:"at"`            // ms since 1970
}

// Orders.
const (
	drain     = "drain"      // have a replica send all its tabs away
	closeTab  = "close-tab"  // have a tab connect again
	kickTopic = "kick-topic" // have all tabs of a topic connect again
)

// orderTopic is where replicas tell each other of orders.
const orderTopic = kindName + "-do"

// orderAge is how old an order may be: it is signed, and somebody may repeat it. What it does a
// second time is harmless for so long.
const orderAge = 10 * time.Second

// kickOver is the time over which the tabs of a topic go.
const kickOver = 2 * time.Second

var errOrder = errors.New("ops: no such order")

// check returns an error for what is no order.
func (t order) check() error {
	_, err := strconv.ParseUint(t.Arg, 10, 64)
	switch {
	case t.Do == drain && t.To != "" && t.Arg == "":
	case t.Do == closeTab && t.To != "" && err == nil:
	case t.Do == kickTopic && t.To == "" && t.Arg != "" && len(t.Arg) <= maxName:
	default:
		return errOrder
	}
	return nil
}

// send gives an order to those whom it is for.
func (o *Ops) send(ctx context.Context, t order) error {
	if err := t.check(); err != nil {
		return err
	}
	t.At = time.Now().UnixMilli()
	if t.To == o.id {
		o.take(t)
		return nil
	}
	payload, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return o.app.Hub().Broadcast(ctx, orderTopic, payload)
}

// listen takes orders of other replicas, until the application stops.
func (o *Ops) listen(ctx context.Context) {
	err := o.app.Hub().SubscribeTopic(ctx, orderTopic+" "+o.id, orderTopic, func(_ context.Context, m pubsub.Message) error {
		var t order
		if m.Gap || !m.Trusted {
			return nil // what nobody has signed is nobody's order
		}
		if err := json.Unmarshal(m.Payload, &t); err != nil || t.check() != nil {
			return errOrder
		}
		if age := time.Since(time.UnixMilli(t.At)).Abs(); age <= orderAge && (t.To == o.id || t.To == "") {
			o.take(t)
		}
		return nil
	})
	if err != nil {
		o.opts.Logger.Warn("ops: orders of other replicas are not heard", "err", err)
	}
}

// take has run do an order. One too many is lost.
func (o *Ops) take(t order) {
	select {
	case o.tasks <- t:
	default:
		o.opts.Logger.Warn("ops: too many orders", "do", t.Do)
	}
}

// do does an order.
func (o *Ops) do(ctx context.Context, t order, w *own) {
	o.opts.Logger.Warn("ops: an order", "do", t.Do, "arg", t.Arg)
	switch t.Do {
	case drain:
		w.tell("was told to send its tabs away")
		o.wake()
		if err := o.opts.Drain(ctx); err != nil {
			o.opts.Logger.Warn("ops: drain", "err", err)
		}
	case closeTab:
		number, err := strconv.ParseUint(t.Arg, 10, 64)
		if err == nil && o.app.Runtime().CloseTab(number) {
			w.tell("was told to close tab " + t.Arg)
		}
	case kickTopic:
		n, err := o.app.Runtime().CloseTopic(ctx, t.Arg, kickOver)
		if err == nil && n > 0 {
			w.tell("has sent " + strconv.Itoa(n) + " tabs of " + shorten(t.Arg, 60) + " away")
		}
	}
	o.wake()
}

// orderOf is the order to close a tab, by the id of its replica, a dot, and its number.
func orderOf(tab string) order {
	replica, number, _ := strings.Cut(tab, ".")
	return order{To: replica, Do: closeTab, Arg: number}
}
