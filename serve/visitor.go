package serve

import (
	"lockstep"
	"lockstep/internal/limit"
)

// A visitor is who clicks, as the store is shared out: all that come from one address are one
// state.Sender. It may be used concurrently.
type visitor struct {
	limiter *limiter
	who     client
}

// as is the visitor as the application knows it, for what a user does.
func (v *visitor) as(u lockstep.User) lockstep.Visitor {
	return lockstep.Visitor{Sender: v, User: u.ID, UserName: u.Name, Allow: v.allowOp}
}

// allowOp reports whether the store may be written to once more for the visitor, and counts it if
// so.
func (v *visitor) allowOp() bool {
	if v.limiter.clicks.Allow(v.who.addr) {
		return true
	}
	v.limiter.refused.clicksOfAddr.Add(1)
	return false
}

// Share implements state.Sender. From an address that stands for many, or that can't be told,
// each tab and each form has a share of its own.
func (v *visitor) Share() any {
	if !v.who.addr.IsValid() || limit.Contains(v.limiter.limits.Exempt, v.who.addr) {
		return v
	}
	return limit.Key(v.who.addr)
}

// NewTopic implements state.Sender.
func (v *visitor) NewTopic() bool {
	if v.limiter.names.Allow(v.who.addr) {
		return true
	}
	v.limiter.refused.namesOfAddr.Add(1)
	return false
}

// TakeLane implements state.Sender.
func (v *visitor) TakeLane() bool {
	if v.limiter.lanes.Allow(v.who.addr) {
		return true
	}
	v.limiter.refused.lanesOfAddr.Add(1)
	return false
}

// OweLanes implements state.Sender.
func (v *visitor) OweLanes(n int) { v.limiter.lanes.Owe(v.who.addr, n) }

// ReturnLane implements state.Sender.
func (v *visitor) ReturnLane() { v.limiter.lanes.Return(v.who.addr) }
