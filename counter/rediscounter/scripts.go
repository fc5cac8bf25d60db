package rediscounter

// fence returns the epoch; it begins a new one when Redis has been started
// anew, or has lost the key: then data may be lost. The clock makes epochs
// differ even when the increment itself is lost in the next crash. Reading
// run_id by INFO takes 4 µs of the 36 µs of a call on the loopback.
const fence = `
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
`

// overflowReply is the error of applyScript when it changes nothing; Redis puts
// "ERR " before it.
const overflowReply = "OVERFLOW"

// applyScript: KEYS epoch, value, one for each op; ARGV window in ms, then for
// each op what it adds, or "reset".
//
// Redis does not roll a script back, so it undoes what it did when an op
// overflows; the version is written last. HINCRBY computes in 64 bits; a Lua
// number would not.
const applyScript = fence + `
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
        if r.err:find('overflow', 1, true) then return redis.error_reply('` + overflowReply + `') end
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

// getScript: KEYS epoch, then values. A replica takes no writes, but would
// answer; what it has may be old.
const getScript = fence + `
if redis.call('INFO', 'replication'):find('role:slave', 1, true) then return redis.error_reply('READONLY not the master') end
local reply = {fence()}
for i = 2, #KEYS do
  local now = redis.call('HMGET', KEYS[i], 'n', 'v')
  reply[#reply + 1] = now[1] or '0'
  reply[#reply + 1] = now[2] or '0'
end
return reply
`
