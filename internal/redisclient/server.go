package redisclient

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/precondition"
)

// ErrReplica means that an address leads to a replica of Redis: it takes no
// writes, and what is published there reaches nobody else.
var ErrReplica = errors.New("the server is a replica of another Redis, and takes no writes")

// prove is what a new connection must pass: the server says that it is a
// master. Where a user may ask neither INFO nor ROLE nobody can tell: the
// connection is taken, a write shows, and that is said.
func (u use) prove(ctx context.Context, c *redis.Conn) error {
	before := time.Now()
	says, err := info(ctx, c)
	switch {
	case refused(err):
		return u.proveByRole(ctx, c)
	case err != nil:
		return err
	case says["role"] == "slave":
		return ErrReplica
	}
	u.seen.Saw("", says["run_id"], append(u.clock(before, says), u.unmet(ctx, c, says)...)...)
	return nil
}

// proveByRole is prove without INFO.
func (u use) proveByRole(ctx context.Context, c *redis.Conn) error {
	answer := c.Do(ctx, "ROLE")
	if refused(answer.Err()) {
		u.seen.Saw("", "", precondition.Unmet{Name: "redis_role",
			Text: "the user may ask neither INFO nor ROLE: a Redis that has become a replica is found out later; allow +role"})
	}
	return ReadRole(answer)
}

// look is prove for a node of a cluster: those that are replicas are asked
// about the cluster only.
func (u use) look(addr string) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, c *redis.Conn) error {
		if u.seen == nil {
			return nil
		}
		before := time.Now()
		says, err := info(ctx, c)
		switch {
		case refused(err):
			return nil
		case err != nil:
			return err
		case says["role"] == "slave":
			u.seen.Saw(addr, says["run_id"])
		default:
			u.seen.Saw(addr, says["run_id"], append(u.clock(before, says), u.unmet(ctx, c, says)...)...)
		}
		return nil
	}
}

// A commander is a connection or a client.
type commander interface {
	Do(ctx context.Context, args ...any) *redis.Cmd
}

// ReadRole reads the answer to ROLE. Nil means that the server is a master, or
// that the user may not ask; ErrReplica that it is none.
func ReadRole(answer *redis.Cmd) error {
	says, err := answer.Slice()
	switch {
	case refused(err):
		return nil
	case err != nil:
		return err
	case len(says) > 0 && says[0] == "slave":
		return ErrReplica
	}
	return nil
}

// refused reports whether an error is the server's answer to a command.
func refused(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// info returns what a server says of itself.
func info(ctx context.Context, c commander) (map[string]string, error) {
	text, err := c.Do(ctx, "INFO").Text()
	if err != nil {
		return nil, err
	}
	says := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			says[name] = value
		}
	}
	return says, nil
}

// oldest is the oldest major version of Redis that is tested.
const oldest = 7

// unmet is what we rely on, and a server does not do. What the server does not
// say is not held against it.
func (u use) unmet(ctx context.Context, c commander, says map[string]string) (all []precondition.Unmet) {
	if u.seen == nil {
		return nil
	}
	add := func(name, text string) { all = append(all, precondition.Unmet{Name: name, Text: text}) }
	if major, err := strconv.Atoi(strings.Split(says["redis_version"], ".")[0]); err == nil && major < oldest {
		add("redis_version", "it is Redis "+says["redis_version"]+", and 7 is the oldest that is tested")
	}
	if !u.store {
		return all
	}
	// Without a limit nothing is evicted, whatever the policy.
	if policy := says["maxmemory_policy"]; policy != "" && policy != "noeviction" && says["maxmemory"] != "0" {
		add("redis_eviction", "maxmemory-policy is "+policy+": a Redis that is full forgets which clicks it has counted, and counts them twice; set maxmemory-policy noeviction")
	}
	if full(says) {
		add("redis_memory", "Redis uses more than four fifths of its maxmemory: when it is full it takes no more clicks; raise maxmemory, or lower -op-lifetime, -lanes-per-addr and -names-per-addr")
	}
	if says["aof_enabled"] == "0" {
		add("redis_persistence", "there is no append-only file: a restart of Redis loses all clicks since its last snapshot; set appendonly yes and appendfsync always")
	} else if fsync := setting(ctx, c, "appendfsync"); fsync != "" && fsync != "always" {
		add("redis_appendfsync", "appendfsync is "+fsync+": a crash of Redis loses the last acknowledged clicks; set appendfsync always")
	}
	if setting(ctx, c, "lazyfree-lazy-expire") == "no" {
		add("redis_lazyfree", "lazyfree-lazy-expire is no: Redis stands still, up to seconds, when it forgets who has clicked on a large topic that nobody uses any more; set lazyfree-lazy-expire yes")
	}
	return all
}

// full reports whether a server has little room left.
func full(says map[string]string) bool {
	used, err := strconv.ParseFloat(says["used_memory"], 64)
	most, err2 := strconv.ParseFloat(says["maxmemory"], 64)
	return err == nil && err2 == nil && most > 0 && used > 0.8*most
}

// clock is what is wrong with the clock of a store's server, which has said
// what it shows since a moment of ours.
func (u use) clock(before time.Time, says map[string]string) []precondition.Unmet {
	micros, err := strconv.ParseInt(says["server_time_usec"], 10, 64)
	if err != nil || !u.store {
		return nil // it is older than Redis 6.2, or keeps nothing
	}
	return precondition.Clock("redis_clock", before, time.UnixMicro(micros), time.Now())
}

// setting returns a setting, or "" where the user may not ask.
func setting(ctx context.Context, c commander, name string) string {
	answer, err := c.Do(ctx, "CONFIG", "GET", name).Result()
	if err != nil {
		return ""
	}
	switch answer := answer.(type) { // by the version of the protocol
	case map[any]any:
		value, _ := answer[name].(string)
		return value
	case []any:
		if len(answer) == 2 {
			value, _ := answer[1].(string)
			return value
		}
	}
	return ""
}

// Elsewhere reports whether an error of a call means that the address may lead
// to another server by now, or soon: connections must be made anew. What says
// that the right server can't do it (OOM, MISCONF, BUSY, NOREPLICAS) does not.
func Elsewhere(err error) bool {
	if errors.Is(err, ErrReplica) {
		return true
	}
	var answer redis.Error
	if !errors.As(err, &answer) {
		return false // go-redis drops the connection
	}
	text := answer.Error()
	for _, code := range []string{"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MOVED"} {
		if strings.HasPrefix(text, code+" ") {
			return true
		}
	}
	return strings.Contains(text, "-READONLY ") // of a script, before Redis 7
}
