package web

import (
	"lockstep/internal/limit"
)

// A visitor is who clicks, as the store is shared out: all that come from one address are one
// counter.Sender. It may be used concurrently.
type visitor struct {
	limiter *limiter
	who     client
}

// Share implements counter.Sender. From an address that stands for many, or that can't be told,
// each tab and each form has a share of its own.
func (v *visitor) Share() any {
	if !v.who.addr.IsValid() || limit.Contains(v.limiter.limits.Exempt, v.who.addr) {
		return v
	}
	return limit.Key(v.who.addr)
}

// TakeOp implements counter.Sender.
func (v *visitor) TakeOp() bool {
	if v.limiter.clicks.Allow(v.who.addr) {
		return true
	}
	v.limiter.refused.clicksOfAddr.Add(1)
	return false
}

// ReturnOp implements counter.Sender.
func (v *visitor) ReturnOp() { v.limiter.clicks.Return(v.who.addr) }

// NewName implements counter.Sender.
func (v *visitor) NewName() bool {
	if v.limiter.names.Allow(v.who.addr) {
		return true
	}
	v.limiter.refused.namesOfAddr.Add(1)
	return false
}
