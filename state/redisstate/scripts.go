package redisstate

// What the scripts have in common. ARGV[1] is what is added to the server's
// clock, in ms.
//
// epoch returns the epoch of a tag; it begins a new one when Redis has been
// started anew, or has lost the key: then data may be lost. The clock makes
// epochs differ even when the increment itself is lost in the next crash. It
// also does when the epoch is older than one that was seen: a server that had
// been left has become the master again, and has missed what came meanwhile.
// Reading run_id by INFO takes some µs, and a pattern would take longer than
// find.
const prelude = `
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local function text(n) return string.format('%.0f', n) end
local run
local function epoch(key, seen)
  seen = tonumber(seen) or 0
  if not run then
    local info = call('INFO', 'server')
    local _, at = info:find('run_id:', 1, true)
    run = info:sub(at + 1, at + 40)
  end
  local known = call('HMGET', key, 'run', 'e')
  if known[1] == run and known[2] and tonumber(known[2]) >= seen then return known[2] end
  local e = text(math.max((tonumber(known[2]) or 0) + 1, seen + 1, now))
  call('HSET', key, 'run', run, 'e', e)
  return e
end
`

// master refuses to answer on a replica, whose data may be old.
const master = `
if redis.call('INFO', 'replication'):find('role:slave', 1, true) then return redis.error_reply('READONLY not the master') end
`

// lanes is for scripts with KEYS[1] the record and KEYS[2] to KEYS[5] hashes
// of lanes: of this generation, the one before, and the same two of lanes that
// are done. A lane is in one of them. Its value is "last", "last-behind" or
// "last-behind:refused", where from is last - behind.
//
// age does what state.Age says, for a pair of hashes: newer and the next. The
// record has the age in two fields. A hash that nobody asks for expires, but
// not before its lanes go, also after a jump of the clock of a lifetime and more:
// life is in ms, and each age begins it anew.
const lanes = `
local function life(lifetime) return 3 * lifetime + 3600000 end
local function age(field, n, since, newer, lifetime)
  since = tonumber(since)
  if not since or now < since then
    call('HSET', KEYS[1], field .. 's', now)
  elseif (now - since) * 7 >= tonumber(lifetime) then
    n = (tonumber(n) or 0) + 1
    call('HSET', KEYS[1], field, n, field .. 's', now)
    if n % 8 == 0 then
      call('UNLINK', KEYS[newer + 1])
      if call('EXISTS', KEYS[newer]) == 1 then call('RENAME', KEYS[newer], KEYS[newer + 1]) end
    end
    call('PEXPIRE', KEYS[newer], life(lifetime))
    call('PEXPIRE', KEYS[newer + 1], life(lifetime))
  end
end
local function find(clients)
  local had, place, left, where = {}, {}, clients, nil
  for key = 2, 5 do
    if #left == 0 then break end
    if key == 2 or call('EXISTS', KEYS[key]) == 1 then
      local found = call('HMGET', KEYS[key], unpack(left))
      local fields, at = {}, {}
      for k = 1, #left do
        local i = where and where[k] or k
        if found[k] then
          had[i], place[i] = found[k], key
        else
          fields[#fields + 1], at[#at + 1] = left[k], i
        end
      end
      left, where = fields, at
    end
  end
  return had, place
end
local function read(lane)
  if not lane then return 0, 0, '' end
  local last = tonumber(lane)
  if last then return last, last, '' end
  local seq, behind, refused = lane:match('^(%d+)%-(%d+):?(.*)$')
  last = tonumber(seq)
  return last, last - behind, refused
end
local function take(places)
  for key, fields in pairs(places) do call('HDEL', KEYS[key], unpack(fields)) end
end
`

// commitScript: KEYS as lanes, epoch, log. ARGV offset, lifetime, that of lanes
// that are done, epoch and version of the base, the data, or "" for none, how
// many entries stay, the number of entries, entries; then for each move:
// client, "min" or "min:was", max, lane.
//
// Returns 1, epoch, version, and the numbers of moves that made a lane; or 0,
// epoch, version, data and lanes.
//
// Redis does not roll a script back. But it refuses nothing of a script after
// its first write, for want of memory, disk, replicas or being the master; if
// that is one that may need memory, as HSET is. And the types of keys are
// looked at before the first. A conflict must be a master's answer, too: HSETNX
// changes nothing, and is refused elsewhere. HINCRBY computes in 64 bits; a Lua
// number would not.
const commitScript = prelude + lanes + `
local e = epoch(KEYS[6])
local rec = call('HMGET', KEYS[1], 'v', 'n', 'l', 'ls', 'f', 'fs')
local v, entries = rec[1] or '0', tonumber(ARGV[8])
if rec[1] then
  age('l', rec[3], rec[4], 2, ARGV[2])
  if rec[6] then age('f', rec[5], rec[6], 4, ARGV[3]) end
end
local clients = {}
for at = 9 + entries, #ARGV, 4 do clients[#clients + 1] = ARGV[at] end
local had, place = find(clients)

local right = ARGV[5] == v and ARGV[4] == e
local holds, known, put, gone, reply = right, false, {}, {}, {1, e, v}
local at = 5 + entries
for i = 1, #clients do
  if not holds then break end
  at = at + 4
  local last, from, refused = read(had[i])
  local min, was, to = tonumber(ARGV[at + 1]), '', ARGV[at + 3]
  if not min then
    min, was = ARGV[at + 1]:match('^(%d+):(.*)$')
    min = tonumber(min)
  end
  holds = min <= last and last <= tonumber(ARGV[at + 2]) and was == refused
  if not place[i] then
    reply[#reply + 1] = i
  else
    if not tonumber(to) then
      local seq, behind, rest = to:match('^(%d+)%-(%d+)(.*)$')
      if seq - behind < from then to = seq .. '-' .. text(seq - from) .. rest end
    end
    if place[i] == 2 then
      known = true
    else
      local fields = gone[place[i]] or {}
      fields[#fields + 1] = clients[i]
      gone[place[i]] = fields
    end
  end
  put[2 * i - 1], put[2 * i] = clients[i], to
end
if not holds then
  call('HSETNX', KEYS[6], 'e', e)
  reply = {0, e, v, not right and call('HGET', KEYS[1], 'd') or ''}
  for i = 1, #clients do reply[4 + i] = had[i] or '' end
  return reply
end

if entries > 0 then call('LLEN', KEYS[7]) end
if #v > 15 then
  call('HINCRBY', KEYS[1], 'v', 1)
  v = call('HGET', KEYS[1], 'v')
else
  v = text(v + 1)
end
reply[3] = v
if ARGV[6] == '' then call('HSET', KEYS[1], 'v', v) else call('HSET', KEYS[1], 'v', v, 'd', ARGV[6]) end
if not rec[1] then age('l', nil, nil, 2, ARGV[2]) end
if entries > 0 then
  call('RPUSH', KEYS[7], unpack(ARGV, 9, 8 + entries))
  call('HINCRBY', KEYS[1], 'n', entries)
end
if ARGV[7] ~= '0' and (entries > 0 or rec[2]) then call('LTRIM', KEYS[7], '-' .. ARGV[7], -1) end
take(gone)
call('HSET', KEYS[2], unpack(put))
if not known then call('PEXPIRE', KEYS[2], life(ARGV[2]), 'NX') end
return reply
`

// finishScript: KEYS as lanes. ARGV offset, lifetime of lanes that are done;
// then for each mark: client, up to.
const finishScript = prelude + lanes + `
local rec = call('HMGET', KEYS[1], 'v', 'f', 'fs')
if not rec[1] then return {} end
if rec[3] then age('f', rec[2], rec[3], 4, ARGV[2]) end
local clients, put, gone = {}, {}, {}
for at = 3, #ARGV, 2 do clients[#clients + 1] = ARGV[at] end
local had, place = find(clients)
for i, key in pairs(place) do
  if key ~= 4 and read(had[i]) <= tonumber(ARGV[2 * i + 2]) then
    put[#put + 1], put[#put + 2] = clients[i], had[i]
    local fields = gone[key] or {}
    fields[#fields + 1] = clients[i]
    gone[key] = fields
  end
end
if #put == 0 then return {} end
if not rec[3] then age('f', nil, nil, 4, ARGV[2]) end
call('HSET', KEYS[4], unpack(put))
call('PEXPIRE', KEYS[4], life(ARGV[2]), 'NX')
take(gone)
return {}
`

// readScript: KEYS epochs, then records. ARGV offset, the number of epochs, the
// newest of each that was seen. Returns the epochs, and for each record version
// and data.
const readScript = prelude + master + `
local n, reply = tonumber(ARGV[2]), {}
for i = 1, n do reply[i] = epoch(KEYS[i], ARGV[2 + i]) end
local at = n
for i = n + 1, #KEYS do
  local rec = call('HMGET', KEYS[i], 'v', 'd')
  reply[at + 1], reply[at + 2] = rec[1] or '0', rec[2] or ''
  at = at + 2
end
return reply
`

// entriesScript: KEYS record, log. ARGV offset, after, most. Returns the
// number of the first entry, or "" when there is none, and entries.
const entriesScript = master + `
local n = tonumber(redis.call('HGET', KEYS[1], 'n')) or 0
local gone = n - redis.call('LLEN', KEYS[2])
local after = math.max(tonumber(ARGV[2]), gone)
if after >= n then return {''} end
local reply = redis.call('LRANGE', KEYS[2], after - gone, after - gone + ARGV[3] - 1)
table.insert(reply, 1, string.format('%.0f', after + 1))
return reply
`
