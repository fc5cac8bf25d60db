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

// ErrOld is that a server can't be used because of its version, which errors
// that are this one say.
var ErrOld = errors.New("the oldest that can be used is Redis 7.0")

// An oldError is ErrOld with the version. go-redis unwraps what a hook returns,
// and would lose it.
type oldError struct{ version string }

func (e oldError) Error() string {
	return "the server is Redis " + e.version + ", and " + ErrOld.Error()
}

// Is makes it ErrOld.
func (oldError) Is(target error) bool { return target == ErrOld }

// prove is what a new connection must pass: the server says that it is a
// master. Where a user may ask neither INFO nor ROLE nobody can tell: the
// connection is taken, a write shows, and that is said.
func (u use) prove(ctx context.Context, c *redis.Conn) error {
	says := u.ask(ctx, c)
	switch {
	case refused(says.err):
		return u.proveByRole(says.role)
	case says.err != nil:
		return says.err
	case says.info["role"] == "slave":
		return ErrReplica
	}
	if err := old(says.info); err != nil {
		return err
	}
	u.seen.Saw("", says.info["run_id"], u.unmet(says)...)
	return nil
}

// proveByRole is prove without INFO.
func (u use) proveByRole(role *redis.Cmd) error {
	if refused(role.Err()) {
		u.seen.Saw("", "", precondition.Unmet{Name: "redis_role",
			Text: "the user may ask neither INFO nor ROLE: a Redis that has become a replica is found out later; allow +role"})
	}
	return ReadRole(role)
}

// look is prove for a node of a cluster: those that are replicas are asked
// about the cluster only.
func (u use) look(addr string) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, c *redis.Conn) error {
		says := u.ask(ctx, c)
		if refused(says.err) {
			return nil
		}
		if says.err != nil {
			return says.err
		}
		if err := old(says.info); err != nil {
			return err
		}
		if says.info["role"] == "slave" {
			u.seen.Saw(addr, says.info["run_id"])
			return nil
		}
		u.seen.Saw(addr, says.info["run_id"], u.unmet(says)...)
		return nil
	}
}

// An answer is what a server says of itself when it is asked.
type answer struct {
	info          map[string]string
	err           error      // of INFO
	role          *redis.Cmd // of ROLE
	fsync, lazy   string     // settings; "" where the user may not ask, or need not
	before, after time.Time  // of ours
}

// ask asks for all at once: a call that needs a new connection waits for this,
// too, and has no time for more round trips where the server is far away.
func (u use) ask(ctx context.Context, c *redis.Conn) answer {
	pipe := c.Pipeline()
	text, role := pipe.Do(ctx, "INFO"), pipe.Do(ctx, "ROLE")
	var fsync, lazy *redis.Cmd
	if u.seen != nil && u.store {
		fsync, lazy = pipe.Do(ctx, "CONFIG", "GET", "appendfsync"), pipe.Do(ctx, "CONFIG", "GET", "lazyfree-lazy-expire")
	}
	says := answer{before: time.Now(), role: role}
	_, _ = pipe.Exec(ctx) // each command has its error
	says.after = time.Now()
	says.info, says.err = info(text)
	if fsync != nil {
		says.fsync, says.lazy = setting(fsync, "appendfsync"), setting(lazy, "lazyfree-lazy-expire")
	}
	return says
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

// info reads the answer to INFO.
func info(cmd *redis.Cmd) (map[string]string, error) {
	text, err := cmd.Text()
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

// oldest is the oldest major version of Redis that can be used. Valkey calls
// itself a later one.
const oldest = 7

// old returns why a server can't be used, by its version, or nil. One that does
// not say what it is can be.
func old(says map[string]string) error {
	version := says["redis_version"]
	if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err != nil || major >= oldest {
		return nil
	}
	return oldError{version}
}

// unmet is what we rely on, and a server does not do. What the server does not
// say is not held against it.
func (u use) unmet(answer answer) (all []precondition.Unmet) {
	if u.seen == nil {
		return nil
	}
	says := answer.info
	add := func(name, text string) { all = append(all, precondition.Unmet{Name: name, Text: text}) }
	if !u.store {
		return all
	}
	all = append(all, clock(answer)...)
	// Without a limit nothing is evicted, whatever the policy.
	if policy := says["maxmemory_policy"]; policy != "" && policy != "noeviction" && says["maxmemory"] != "0" {
		add("redis_eviction", "maxmemory-policy is "+policy+": a Redis that is full forgets which clicks it has counted, and counts them twice; set maxmemory-policy noeviction")
	}
	if _, bound := says["min_slaves_good_slaves"]; u.watched && !bound && says["redis_version"] != "" {
		add("redis_min_replicas", "min-replicas-to-write is 0: a master that Sentinel has replaced, and that does not know, goes on taking clicks, which are lost; set min-replicas-to-write 1, and have two replicas")
	}
	if full(says) {
		add("redis_memory", "Redis uses more than four fifths of its maxmemory: when it is full it takes no more clicks; raise maxmemory, or lower -op-lifetime, -lanes-per-addr and -names-per-addr")
	}
	if says["aof_enabled"] == "0" {
		add("redis_persistence", "there is no append-only file: a restart of Redis loses all clicks since its last snapshot; set appendonly yes and appendfsync always")
	} else if fsync := answer.fsync; fsync != "" && fsync != "always" {
		add("redis_appendfsync", "appendfsync is "+fsync+": a crash of Redis loses the last acknowledged clicks; set appendfsync always")
	}
	if answer.lazy == "no" {
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

// clock is what is wrong with the clock of a store's server.
func clock(says answer) []precondition.Unmet {
	micros, err := strconv.ParseInt(says.info["server_time_usec"], 10, 64)
	if err != nil {
		return nil // it is older than Redis 6.2
	}
	return precondition.Clock("redis_clock", says.before, time.UnixMicro(micros), says.after)
}

// setting reads the answer to CONFIG GET of a setting; "" where the user may not
// ask.
func setting(cmd *redis.Cmd, name string) string {
	answer, err := cmd.Result()
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

// Starting reports whether an error says that the server is reading its data
// from disk, and answers nothing else before.
func Starting(err error) bool { return redis.HasErrorPrefix(err, "LOADING") }
