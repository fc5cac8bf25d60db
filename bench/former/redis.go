package former

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
)

// A Redis is a Store in Redis. All its keys are in one hash slot.
type Redis struct {
	pool   *redisclient.Pool
	script *redis.Script
}

const redisPrefix = "{former:}"

// OpenRedis connects to the Redis at a URL.
func OpenRedis(url string) (*Redis, error) {
	pool, err := redisclient.NewPool(url, nil)
	if err != nil {
		return nil, err
	}
	return &Redis{pool, redis.NewScript(applyScript)}, nil
}

// Apply implements Store.
func (s *Redis) Apply(ctx context.Context, name string, ops ...Op) (Value, []bool, error) {
	if err := check(name, ops); err != nil {
		return Value{}, nil, err
	}
	keys := []string{redisPrefix + "epoch", redisPrefix + "counter:" + name}
	args := []any{window.Milliseconds()}
	for _, op := range ops {
		keys = append(keys, redisPrefix+"op:"+name+":"+op.ID)
		args = append(args, "1")
	}
	c := s.pool.Client()
	reply, err := s.script.Run(ctx, c, keys, args...).Slice()
	if err != nil {
		s.pool.Failed(c, err)
		return Value{}, nil, err
	}
	return readApplied(reply, len(ops))
}

var errReply = errors.New("former: not the reply of our script")

// readApplied reads the reply of applyScript: epoch, n, version, and for each
// op 1 or 0.
func readApplied(reply []any, ops int) (v Value, applied []bool, err error) {
	if len(reply) != 3+ops {
		return v, nil, errReply
	}
	e, ok1 := reply[0].(string)
	n, ok2 := reply[1].(string)
	version, ok3 := reply[2].(string)
	if !ok1 || !ok2 || !ok3 {
		return v, nil, errReply
	}
	var errs [3]error
	v.Epoch, errs[0] = strconv.ParseUint(e, 10, 64)
	v.N, errs[1] = strconv.ParseInt(n, 10, 64)
	v.Version, errs[2] = strconv.ParseUint(version, 10, 64)
	applied = make([]bool, ops)
	for i := range applied {
		applied[i] = reply[3+i] == int64(1)
	}
	return v, applied, errors.Join(errs[:]...)
}

// Close implements Store.
func (s *Redis) Close() error { return s.pool.Close() }

// applyScript: KEYS epoch, value, one for each op; ARGV window in ms, then for
// each op what it adds, or "reset".
//
// Redis does not roll a script back, so it undoes what it did when an op
// overflows; the version is written last. The epoch is another when Redis has
// been started anew.
const applyScript = `
local function fence()
  local run = redis.call('INFO', 'server'):match('run_id:(%x+)')
  local known = redis.call('HMGET', KEYS[1], 'run', 'e')
  if known[1] == run and known[2] then return known[2] end
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local e = string.format('%.0f', math.max((tonumber(known[2]) or 0) + 1, now))
  redis.call('HSET', KEYS[1], 'run', run, 'e', e)
  return e
end

local e = fence()
local before = redis.call('HGET', KEYS[2], 'n')
local reply, fresh = {e, '', ''}, {}

local function undo()
  for _, key in ipairs(fresh) do redis.call('DEL', key) end
  if before then redis.call('HSET', KEYS[2], 'n', before) else redis.call('DEL', KEYS[2]) end
end

for i = 3, #KEYS do
  local op = ARGV[i - 1]
  local new = redis.call('SET', KEYS[i], 1, 'NX', 'PX', ARGV[1])
  reply[#reply + 1] = new and 1 or 0
  if new then
    fresh[#fresh + 1] = KEYS[i]
    if op == 'reset' then
      redis.call('HSET', KEYS[2], 'n', 0)
    else
      local r = redis.pcall('HINCRBY', KEYS[2], 'n', op)
      if type(r) == 'table' and r.err then
        undo()
        return r
      end
    end
  end
end
if #fresh > 0 then redis.call('HINCRBY', KEYS[2], 'v', #fresh) end
local now = redis.call('HMGET', KEYS[2], 'n', 'v')
reply[2], reply[3] = now[1] or '0', now[2] or '0'
return reply
`
