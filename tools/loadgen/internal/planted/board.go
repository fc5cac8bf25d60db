package planted

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// BoardTTL is how long a board shows what its owner does not renew.
const BoardTTL = 6 * time.Second

// A value is what an owner has at a board. The server's mu guards it.
type value struct {
	spot string // as JSON; "": nothing any more
	cast int    // which cast it was
}

// cast takes in what a tab shows others, and tells them. The caller holds mu.
func (s *Server) cast(t *tab, raw json.RawMessage) {
	var in struct {
		Tab   string `json:"tab"`
		X     int    `json:"x,omitempty"`
		Y     int    `json:"y,omitempty"`
		Types bool   `json:"types,omitempty"`
	}
	c, b := t.topic, s.bugs
	if json.Unmarshal(raw, &in) != nil || in.Tab == "" {
		s.strange = append(s.strange, "no cast: "+string(raw))
		return
	}
	c.ops++
	owner := t.user[:min(len(t.user), 8)] + "." + in.Tab
	if each(b.Swap, c.ops) && len(c.values) > 1 {
		for other := range c.values {
			if other != owner {
				owner = other
				break
			}
		}
	}
	spot := ""
	if in.X > 0 || in.Types {
		spot = fmt.Sprintf(`{"x":%d,"y":%d,"types":%v}`, in.X, in.Y, in.Types)
	}
	before := c.values[owner]
	if t.board = owner; each(b.LoseCast, c.ops) {
		return
	}
	now := value{spot, c.ops}
	c.values[owner] = now
	s.show(c, owner, spot)
	if each(b.Backwards, c.ops) && before.spot != "" {
		s.show(c, owner, before.spot)
	}
	again := func(after time.Duration, do func()) {
		time.AfterFunc(after, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if c.values[owner] == now {
				do()
			}
		})
	}
	again(BoardTTL/2, func() { s.show(c, owner, spot) })
	if b.NeverForget {
		again(BoardTTL*7/4, func() { s.show(c, owner, spot) })
		return
	}
	again(BoardTTL, func() { s.forget(c, owner) })
}

// show tells all tabs what an owner has. The caller holds mu.
func (s *Server) show(c *topic, owner, spot string) {
	if spot == "" {
		s.forget(c, owner)
		return
	}
	c.frames++
	more := ""
	if each(s.bugs.LongFrame, c.frames) {
		more = fmt.Sprintf(`,"more":%q`, strings.Repeat("x", 20<<10))
	}
	for _, t := range c.tabs {
		t.send(fmt.Sprintf(`{"t":"%s:%s","soft":{"n":%d,"is":{%q:%s}%s}}`, c.kind, c.name, c.frames, owner, spot, more))
	}
}

// forget tells all tabs that an owner has nothing any more. The caller holds mu.
func (s *Server) forget(c *topic, owner string) {
	delete(c.values, owner)
	c.frames++
	for _, t := range c.tabs {
		t.send(fmt.Sprintf(`{"t":"%s:%s","soft":{"n":%d,"gone":[%q]}}`, c.kind, c.name, c.frames, owner))
	}
}

// everything is what a tab is told that has just come.
func (c *topic) everything() string {
	var is []string
	for _, owner := range slices.Sorted(maps.Keys(c.values)) {
		if spot := c.values[owner].spot; spot != "" {
			is = append(is, fmt.Sprintf("%q:%s", owner, spot))
		}
	}
	return fmt.Sprintf(`{"t":"%s:%s","soft":{"n":%d,"all":true,"is":{%s}}}`, c.kind, c.name, c.frames, strings.Join(is, ","))
}
