package natspubsub

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// A violation is what a server says of a subject that a user has no right to.
type violation struct {
	verb    verb
	subject string
	err     error // as nats.go has it, which makes a new one each time
}

// readViolation reads a server's words; false: it says them in a way that we
// don't know.
func readViolation(err error) (violation, bool) {
	for what, v := range map[string]verb{`for Publish to "`: publish, `for Subscription to "`: subscribe} {
		_, rest, found := strings.Cut(err.Error(), what)
		if !found {
			continue
		}
		quoted, err2 := strconv.QuotedPrefix(`"` + rest)
		if err2 != nil {
			return violation{}, false
		}
		subject, err2 := strconv.Unquote(quoted)
		return violation{v, subject, err}, err2 == nil
	}
	return violation{}, false
}

// noticed takes in what nats.go has to say, in its order.
func (c *conn) noticed(err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		c.violated(err)
	case errors.Is(err, nats.ErrBadHeaderMsg):
		// Somebody has sent it who may: its payload is delivered, and is as good as
		// its signature.
	default: // a slow consumer, too many subscriptions, credentials that have expired
		c.lost(err)
	}
}

// violated keeps a violation for the call that it belongs to. One that belongs to
// none means that a right was taken away, and a subscription with it.
func (c *conn) violated(err error) {
	v, known := readViolation(err)
	if !known {
		c.lost(err)
		return
	}
	c.mu.Lock()
	s := c.topics[v.subject]
	revoked := v.verb == subscribe && s != nil && s.confirmed
	c.violations = append(c.violations, v)
	c.mu.Unlock()
	if revoked {
		c.lost(err)
		return
	}
	signal(c.heard)
}

// awaitViolations returns when all violations that came before the last PONG are
// noticed. nats.go has read them, and calls noticed from a goroutine of its own.
func (c *conn) awaitViolations() {
	last := c.nc.LastError()
	for errors.Is(last, nats.ErrPermissionViolation) && !c.hasSeen(last) {
		select {
		case <-c.heard:
		case <-c.Ended():
			return
		}
	}
}

func (c *conn) hasSeen(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == err { //nolint:errorlint // this one, not one like it
		return true
	}
	for _, v := range c.violations {
		if v.err == err { //nolint:errorlint // as above
			return true
		}
	}
	return false
}

// outcomes returns what became of each request, and ends the connection where a
// subscription that was refused can't be taken back.
func (c *conn) outcomes(rs []request) []error {
	errs := make([]error, len(rs))
	c.mu.Lock()
	vs := c.violations
	c.violations = nil
	if len(vs) > 0 {
		c.known = vs[len(vs)-1].err
	}
	for i, r := range rs {
		errs[i] = refusal(vs, r)
		if s := c.topics[r.subject]; r.verb == subscribe && errs[i] == nil && s != nil {
			s.confirmed = true
		}
	}
	c.mu.Unlock()
	for i, r := range rs {
		if r.verb == subscribe && errs[i] != nil {
			if err := c.forget(r.subject); err != nil {
				c.failed(err)
			}
		}
	}
	return errs
}

// refusal returns what a server has said of a request, or nil.
func refusal(vs []violation, r request) error {
	for _, v := range vs {
		if v.verb == r.verb && v.subject == r.subject {
			return fmt.Errorf("natspubsub: %w", v.err)
		}
	}
	return nil
}
