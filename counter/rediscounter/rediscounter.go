// Package rediscounter keeps counters in Redis 7 or later (or Valkey), for all
// replicas that share it. Each Apply is one script, which Redis runs as one
// step.
//
// The promise is as strong as Redis's persistence: with appendfsync always an
// acknowledged op survives a crash of any process; with everysec a crash of
// Redis may lose up to about two seconds of acknowledged ops, without an
// append-only file everything since the last snapshot. A loss is noticed when
// Redis has been started anew: the epoch grows, and tabs follow the smaller
// number instead of keeping the larger. After FLUSHALL the clock of the Redis
// server alone makes the new epoch: it must not have been set back.
package rediscounter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/counter"
	"lockstep/internal/redisclient"
	"lockstep/precondition"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Prefix sets applications apart that share a Redis. It must not contain
	// braces. Default "lockstep:".
	Prefix string
	// Window is how long an op is remembered. Default counter.DedupWindow.
	Window time.Duration
	// Preconditions is told what each server does not meet; nil: nobody.
	Preconditions *precondition.Part
}

// A Store is a counter.Store in Redis.
//
// All keys of an application are in one hash slot, "{prefix}…": the epoch
// belongs to all its counters, and a script may touch one slot only. In a
// cluster one node does all the counting.
type Store struct {
	pool       *redisclient.Pool
	prefix     string
	window     time.Duration
	apply, get *redis.Script
}

// Open connects to the Redis at a redis://, rediss://, redis+cluster:// or
// rediss+cluster:// URL, as package redisclient reads it, and reads from it
// once: scripts work there, and its keys are here. Its errors do not contain
// the URL.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Store{
		prefix: cmp.Or(o.Prefix, "lockstep:"), window: counter.DedupWindow,
		apply: redis.NewScript(applyScript), get: redis.NewScript(getScript),
	}
	if o.Window > 0 {
		s.window = o.Window
	}
	if strings.ContainsAny(s.prefix, "{}") {
		return nil, fmt.Errorf("rediscounter: the prefix %q contains braces, which Redis Cluster gives a meaning", s.prefix)
	}
	var err error
	if s.pool, err = redisclient.NewPool(url, o.Preconditions); err != nil {
		return nil, fmt.Errorf("rediscounter: %w", err)
	}
	if _, err := s.run(ctx, s.get, []string{s.fenceKey()}); err != nil {
		return nil, errors.Join(fmt.Errorf("rediscounter: %w", atStart(err)), s.pool.Close())
	}
	return s, nil
}

// atStart explains an error of the first call.
func atStart(err error) error {
	if strings.HasPrefix(err.Error(), "MOVED ") {
		return errors.New("the server is one node of a Redis Cluster: write redis+cluster:// (with TLS rediss+cluster://)")
	}
	return err
}

// run runs a script.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) ([]any, error) {
	c := s.pool.Client()
	reply, err := script.Run(ctx, c, keys, args...).Slice()
	if err != nil {
		s.pool.Failed(c, err)
	}
	return reply, err
}

func (s *Store) fenceKey() string            { return "{" + s.prefix + "}epoch" }
func (s *Store) valueKey(name string) string { return "{" + s.prefix + "}counter:" + name }
func (s *Store) opKey(name, op string) string {
	return "{" + s.prefix + "}op:" + name + ":" + op
}

// Apply implements counter.Store.
func (s *Store) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if err := counter.Check(name, ops); err != nil {
		return counter.Value{}, nil, err
	}
	keys := []string{s.fenceKey(), s.valueKey(name)}
	args := []any{s.window.Milliseconds()}
	for _, op := range ops {
		keys = append(keys, s.opKey(name, op.ID))
		if op.Kind == counter.Reset {
			args = append(args, "reset")
		} else {
			args = append(args, strconv.FormatInt(op.Amount(), 10))
		}
	}
	reply, err := s.run(ctx, s.apply, keys, args...)
	var refusal redis.Error
	if errors.As(err, &refusal) && strings.HasSuffix(refusal.Error(), overflowReply) {
		return counter.Value{}, nil, counter.ErrOverflow
	}
	if err != nil {
		return counter.Value{}, nil, fmt.Errorf("rediscounter: apply: %w", err)
	}
	return readApplied(reply, len(ops))
}

// readApplied reads the reply of applyScript: epoch, n, version, and for each
// op 1 or 0.
func readApplied(reply []any, ops int) (counter.Value, []bool, error) {
	if len(reply) != 3+ops {
		return counter.Value{}, nil, errReply
	}
	v, err := readValue(reply[0], reply[1], reply[2])
	if err != nil {
		return counter.Value{}, nil, err
	}
	applied := make([]bool, ops)
	for i := range applied {
		applied[i] = reply[3+i] == int64(1)
	}
	return v, applied, nil
}

var errReply = errors.New("rediscounter: not the reply of our script")

// readValue reads numbers that the scripts return as text: Lua's are doubles.
func readValue(epoch, n, version any) (v counter.Value, err error) {
	e, ok1 := epoch.(string)
	num, ok2 := n.(string)
	ver, ok3 := version.(string)
	if !ok1 || !ok2 || !ok3 {
		return v, errReply
	}
	var errs [3]error
	v.Epoch, errs[0] = strconv.ParseUint(e, 10, 64)
	v.N, errs[1] = strconv.ParseInt(num, 10, 64)
	v.Version, errs[2] = strconv.ParseUint(ver, 10, 64)
	return v, errors.Join(errs[:]...)
}

// Get implements counter.Store.
func (s *Store) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if len(names) == 0 {
		return nil, ctx.Err()
	}
	keys := []string{s.fenceKey()}
	for _, name := range names {
		if !counter.ValidName(name) {
			return nil, counter.ErrBadName
		}
		keys = append(keys, s.valueKey(name))
	}
	reply, err := s.run(ctx, s.get, keys)
	if err != nil {
		return nil, fmt.Errorf("rediscounter: get: %w", err)
	}
	if len(reply) != 1+2*len(names) {
		return nil, errReply
	}
	values := make([]counter.Value, len(names))
	for i := range values {
		if values[i], err = readValue(reply[0], reply[1+2*i], reply[2+2*i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Close implements counter.Store.
func (s *Store) Close() error {
	if err := s.pool.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
