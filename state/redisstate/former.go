package redisstate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"lockstep/state"
)

// Counters of an earlier version are hashes "{prefix}counter:NAME" with a number
// n and a version v, under the epoch in the hash "{prefix}epoch". Ids of
// their ops expire within 15 minutes, by themselves.
//
// The key of the epoch says how far a takeover is. As long as it is a hash the
// data is the earlier version's. Then it is a text, "moving EPOCH" and at last
// "moved", and stays: a program of the earlier version, which reads a hash
// before anything else, fails from then on, and can't begin counters anew.

// claimScript: KEYS the former epoch. ARGV whether counters can be moved, "1" or
// "0". Returns what the key is: "hash", which is left as it is with "0", or
// its text.
const claimScript = `
local is = redis.call('TYPE', KEYS[1]).ok
if is == 'none' then
  redis.call('SET', KEYS[1], 'moved')
elseif is == 'hash' then
  if ARGV[1] == '0' then return {'hash'} end
  local e = redis.call('HGET', KEYS[1], 'e') or '0'
  redis.call('SET', KEYS[1], 'moving ' .. e)
end
return {redis.call('GET', KEYS[1])}
`

// moveScript: KEYS epoch, record. ARGV offset, the former epoch, the former
// version, data. A record that is there has been moved before. Its epoch is
// later than the former, so that no tab takes it for older than what it
// shows.
const moveScript = prelude + `
if tonumber(epoch(KEYS[1])) <= tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'e', text(ARGV[2] + 1))
end
if redis.call('HSETNX', KEYS[2], 'v', ARGV[3]) == 1 then redis.call('HSET', KEYS[2], 'd', ARGV[4]) end
return {}
`

// scanned is about how many keys a step of takeOver looks at.
const scanned = 500

// takeOver makes former counters records, if there are any: each at once and
// once, in steps of some hundred. It may be called by several replicas at a
// time, and where it is cut off the next call goes on.
func (s *Store) takeOver(ctx context.Context, counter Counter) error {
	key, can := "{"+s.prefix+"}epoch", "1"
	if counter == nil {
		can = "0"
	}
	claim := s.run(ctx, newScript(claimScript), call{[]string{key}, []any{can}})[0]
	if claim.err != nil {
		return claim.err
	}
	if len(claim.values) != 1 {
		return errReply
	}
	is, _ := claim.values[0].(string)
	switch epoch, moving := strings.CutPrefix(is, "moving "); {
	case is == "moved":
		return nil
	case counter == nil:
		return fmt.Errorf("the data under the prefix %q are counters of an earlier version of this program: open it once with Options.Counter, which says what they become, or choose another prefix", s.prefix)
	case !moving:
		return fmt.Errorf("the key %q is %q, which this program did not write: choose another prefix", key, is)
	default:
		if err := s.moveAll(ctx, counter, epoch); err != nil {
			return fmt.Errorf("counters of an earlier version: %w", err)
		}
	}
	return s.pool.Client().Set(ctx, key, "moved", 0).Err()
}

// moveAll moves all counters. The scan finds each that is there from its
// beginning to its end; what is moved by another replica meanwhile is not lost.
func (s *Store) moveAll(ctx context.Context, counter Counter, epoch string) error {
	prefix := "{" + s.prefix + "}counter:"
	node := redis.Cmdable(s.pool.Client())
	if cluster, ok := node.(*redis.ClusterClient); ok {
		var err error
		if node, err = cluster.MasterForKey(ctx, prefix); err != nil {
			return err
		}
	}
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "*"
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, pattern, scanned).Result()
		if err != nil {
			return err
		}
		if err := s.move(ctx, counter, epoch, prefix, keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// move moves the counters of some keys.
func (s *Store) move(ctx context.Context, counter Counter, epoch, prefix string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	calls, err := s.moveCalls(ctx, counter, epoch, prefix, keys)
	if err != nil {
		return err
	}
	for _, reply := range s.run(ctx, newScript(moveScript), calls...) {
		if reply.err != nil {
			return reply.err
		}
	}
	return s.pool.Client().Del(ctx, keys...).Err() // they are in one slot
}

// moveCalls reads the counters of some keys, and writes them as moveScript
// takes them. One that is gone has been moved.
func (s *Store) moveCalls(ctx context.Context, counter Counter, epoch, prefix string, keys []string) (calls []call, err error) {
	pipe := s.pool.Client().Pipeline()
	reads := make([]*redis.SliceCmd, len(keys))
	for i, key := range keys {
		reads[i] = pipe.HMGet(ctx, key, "n", "v")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for i, read := range reads {
		n, ok1 := read.Val()[0].(string)
		version, ok2 := read.Val()[1].(string)
		if !ok1 && !ok2 {
			continue
		}
		name := strings.TrimPrefix(keys[i], prefix)
		number, err := strconv.ParseInt(n, 10, 64)
		if err != nil || !ok2 {
			return nil, fmt.Errorf("the key %q is not one", keys[i])
		}
		topic, data := counter(name, number)
		if err := errors.Join(state.CheckTopic(topic), checkData(data)); err != nil {
			return nil, fmt.Errorf("what %q becomes: %w", name, err)
		}
		calls = append(calls, call{[]string{s.fence(tagOf(topic)), s.record(topic)}, []any{s.ahead.Load(), epoch, version, data}})
	}
	return calls, nil
}

// checkData returns nil, or why data can't be a record's.
func checkData(data []byte) error {
	if len(data) < 1 || len(data) > state.MaxData {
		return fmt.Errorf("%d bytes of data", len(data))
	}
	return nil
}
