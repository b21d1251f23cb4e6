/**
 * What runs inside the server, each atomically within one partition. Offsets are the partition's own counter, so every
 * entry of it has another one, and each names the one before it in its channel.
 *
 * An epoch is one unbroken line of writes. When the server's replication id is not the one that wrote last (promotion,
 * restart), the old epoch is closed at the offset that survived and a fresh one goes on from there. A position of a
 * closed epoch beyond that offset was given for a write that is gone, however far the counter has come since. What
 * callers know (`known`, their newest positions) proves such a loss to everybody: the closed epoch is marked lossy.
 */

/** KEYS[1] meta; ARGV: 1 number of partitions, 2 a fresh epoch, 3 what the caller knows: "epoch.offset epoch.offset". */
const PARTITION = `
local fmt = function(n) return string.format('%.0f', n) end
local function openPartition()
  local m = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'line', 'past', 'partitions')
  local info = redis.call('INFO', 'replication')
  local line = m[3]
  -- Found as it stands, nothing has to be taken apart: this runs for every batch.
  if not line or not string.find(info, 'master_replid:' .. line, 1, true) then
    line = string.match(info, 'master_replid:(%x+)')
    if not line then return nil, 'NOLINE INFO replication shows no master_replid' end
  end
  local p = { epoch = m[1], offset = tonumber(m[2] or '0'), past = {} }
  local fresh
  local save = function()
    local past = {}
    for i, t in ipairs(p.past) do past[i] = t.epoch .. '.' .. fmt(t.cut) .. (t.lossy and 'x' or '') end
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
    redis.call('HSET', KEYS[1], 'epoch', p.epoch, 'offset', fmt(p.offset), 'line', line, 'run', run,
      'past', table.concat(past, ' '), 'partitions', ARGV[1])
  end
  local isNew = not p.epoch
  if isNew then p.epoch, fresh = ARGV[2], true
  elseif m[5] ~= ARGV[1] then return nil, 'PARTITIONS the store has ' .. tostring(m[5]) .. ', not ' .. ARGV[1] end
  for epoch, cut, lossy in string.gmatch(m[4] or '', '(%x+)%.(%d+)(x?)') do
    p.past[#p.past + 1] = { epoch = epoch, cut = tonumber(cut), lossy = lossy == 'x' }
  end
  local function turn(lossy)
    if isNew then return end
    if fresh then p.past[#p.past].lossy = p.past[#p.past].lossy or lossy return end
    p.past[#p.past + 1] = { epoch = p.epoch, cut = p.offset, lossy = lossy }
    if #p.past > 32 then table.remove(p.past, 1) end
    p.epoch = ARGV[2]
    fresh = true
  end
  if m[3] ~= line and not isNew then
    -- Never a replica, and loaded from its own append-only file or merely renamed: nothing is known to be lost.
    local alone = string.match(info, 'master_replid2:(%x+)') == string.rep('0', 40)
    local same = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') == redis.call('HGET', KEYS[1], 'run')
    local kept = string.find(redis.call('INFO', 'persistence'), 'aof_enabled:1', 1, true)
    turn(not (alone and (same or kept)))
  end
  for epoch, offset in string.gmatch(ARGV[3], '(%x+)%.(%d+)') do
    local n = tonumber(offset)
    if epoch == p.epoch then
      if n > p.offset then turn(true) end
    else
      local found
      for i, t in ipairs(p.past) do if t.epoch == epoch then found = i end end
      if not found then
        -- An epoch that this store never had, or lost with all that was in it: noted, so that it is told once.
        turn(true)
        table.insert(p.past, 1, { epoch = epoch, cut = 0, lossy = true })
        fresh = true
      elseif n > p.past[found].cut then
        local told = false
        for j = found, #p.past do told = told or p.past[j].lossy end
        if not told then turn(true) end
      end
    end
  end
  if fresh then save() end
  return p
end
-- Whether a position is of the line that stands now; if not, up to which offset it is, when its epoch is known.
local function stands(p, epoch, n)
  if epoch == p.epoch then return n <= p.offset, p.offset end
  for i, t in ipairs(p.past) do
    if t.epoch == epoch then
      if n > t.cut then return false, t.cut end
      for j = i, #p.past do
        if p.past[j].lossy then return false, p.past[j].cut end
      end
      return true
    end
  end
  return false, nil
end
local function readState(key)
  local text = redis.call('GET', key)
  if not text then return nil end
  local epoch, last, base, trim = string.match(text, '^(%x+) (%d+) (%d+) (%d+)$')
  return { epoch = epoch, last = tonumber(last), base = tonumber(base), trim = tonumber(trim) }
end
local function stateText(s)
  return s.epoch .. ' ' .. fmt(s.last) .. ' ' .. fmt(s.base) .. ' ' .. fmt(s.trim)
end
-- A channel that is idle for so long is forgotten, its end last.
local function lifeOf(retention)
  return math.floor(retention * 17 / 16) + 60000
end
local function nowMs()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local p, refusal = openPartition()
if not p then return redis.error_reply(refusal) end
`;

/**
 * KEYS: 2 state, 3 log, 4 and 5 ids, 6 live. ARGV: 4 events kept, 5 retention, 6 dedup window, 7 channel key,
 * 8 PUBLISH or SPUBLISH, then id and envelope of each. Answers epoch, offset, then position and whether known of each.
 */
export const PUBLISH = `${PARTITION}
local now, retention, window = nowMs(), tonumber(ARGV[5]), tonumber(ARGV[6])
local life = lifeOf(retention)
local s = readState(KEYS[2])
if not s then
  -- A log without its end cannot be continued: what there was of it counts as gone.
  redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5])
  s = { epoch = p.epoch, last = p.offset, base = p.offset, trim = 0 }
end
local bucket = math.floor(now / window)
local ids, older = KEYS[4 + bucket % 2], KEYS[4 + (bucket + 1) % 2]
local name, before = fmt(bucket), fmt(bucket - 1) .. ' '
-- Each says under the empty name of which window it is, and whether there is one of the window before; what is of
-- another window holds nothing.
local alone, both = name .. ' alone', name .. ' both'
local function known(id)
  local found = redis.call('HMGET', ids, '', id)
  if found[1] ~= alone and found[1] ~= both then
    local previous = redis.call('HGET', older, '')
    found[1] = previous and string.find(previous, before, 1, true) == 1 and both or alone
    redis.call('UNLINK', ids)
    redis.call('HSET', ids, '', found[1])
    redis.call('PEXPIRE', ids, 2 * window)
  elseif found[2] then
    return found[2]
  end
  return found[1] == both and redis.call('HGET', older, id)
end
local answer = { p.epoch, 0 }
local live = {}
local first, prev = p.offset + 1, s.last
for i = 9, #ARGV, 2 do
  local id, envelope = ARGV[i], ARGV[i + 1]
  local at = known(id)
  if at then
    answer[#answer + 1] = at
    answer[#answer + 1] = 1
  else
    p.offset = p.offset + 1
    local n = fmt(p.offset)
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], n .. '-' .. fmt(now), 'e', p.epoch, 'p', fmt(s.last), 'v', envelope)
    s.epoch, s.last = p.epoch, p.offset
    local position = p.epoch .. '.' .. n
    redis.call('HSET', ids, id, position)
    answer[#answer + 1] = position
    answer[#answer + 1] = 0
    live[#live + 1] = envelope
  end
end
answer[2] = fmt(p.offset)
if #live > 0 then
  redis.call('HSET', KEYS[1], 'offset', fmt(p.offset))
  if now >= s.trim then
    -- Once in a while: what is too old goes, and the log's own end is put off.
    local fresh
    repeat
      local oldest = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 100)
      for _, entry in ipairs(oldest) do
        local n, at = string.match(entry[1], '(%d+)-(%d+)')
        fresh = tonumber(at) >= now - retention and n
        if fresh then break end
      end
      redis.call('XTRIM', KEYS[3], 'MINID', fresh or fmt(tonumber(string.match(oldest[#oldest][1], '^%d+')) + 1))
    until fresh
    s.trim = now + math.floor(retention / 16)
    redis.call('PEXPIRE', KEYS[3], life)
  end
  redis.call('SET', KEYS[2], stateText(s), 'PX', life)
  local head = ARGV[7] .. '\\n' .. p.epoch .. ' ' .. fmt(first) .. ' ' .. fmt(p.offset) .. ' ' .. fmt(prev)
  redis.call(ARGV[8], KEYS[6], head .. '\\n' .. table.concat(live, '\\n'))
end
return answer
`;

/**
 * KEYS: state and log of each channel. ARGV: 4 retention, 5 "1" to renew what is followed. Answers epoch, offset, then
 * end and oldest of each. A channel without a state gets one: its end is a floor, under which nothing is known.
 */
export const ENDS = `${PARTITION}
local life = lifeOf(tonumber(ARGV[4]))
local answer = { p.epoch, fmt(p.offset) }
for i = 2, #KEYS, 2 do
  local s = readState(KEYS[i])
  if not s then
    redis.call('UNLINK', KEYS[i + 1])
    s = { epoch = p.epoch, last = p.offset, base = p.offset, trim = 0 }
    redis.call('SET', KEYS[i], stateText(s), 'PX', life)
  else
    if not stands(p, s.epoch, s.last) then
      -- So that whoever is at this end is told of the loss, once.
      s.epoch = p.epoch
      redis.call('SET', KEYS[i], stateText(s), 'KEEPTTL')
    end
    if ARGV[5] == '1' then
      redis.call('PEXPIRE', KEYS[i], life)
      redis.call('PEXPIRE', KEYS[i + 1], life)
    end
  end
  answer[#answer + 1] = s.epoch .. '.' .. fmt(s.last)
  local oldest = redis.call('XRANGE', KEYS[i + 1], '-', '+', 'COUNT', 1)[1]
  answer[#answer + 1] = oldest and (oldest[2][2] .. '.' .. string.match(oldest[1], '^%d+')) or ''
end
return answer
`;

/**
 * KEYS: 2 state, 3 log. ARGV: 4 epoch, 5 offset, 6 entries at most, 7 bytes at most, 8 since (ms) or empty. Answers
 * epoch, offset, verdict, whether there is more, then offset, epoch, offset before and envelope of each entry.
 * What lies before a known loss is a page of its own, so that the loss is told where it is.
 */
export const READ = `${PARTITION}
local epoch, after, limit, bytes = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local since = tonumber(ARGV[8])
local beginning = not since and epoch == '00000000' and after == 0
local answer = { p.epoch, fmt(p.offset), 'whole', 0 }
local s = readState(KEYS[2])
if not s then
  if not since and not beginning then
    local ok, cut = stands(p, epoch, after)
    if not ok then answer[3] = 'epoch' elseif after < p.offset then answer[3] = 'retention' end
  end
  return answer
end
local function range(from, to, count)
  return redis.call('XRANGE', KEYS[3], from, to, 'COUNT', count)
end
local oldest = range('-', '+', 1)[1]
local gone = oldest and tonumber(oldest[2][4]) or s.last
local to = '+'
if since then
  if gone > s.base and (not oldest or tonumber(string.match(oldest[1], '-(%d+)')) > since) then answer[3] = 'retention' end
  after = gone
elseif beginning then
  if gone > s.base then answer[3] = 'retention' end
  after = gone
else
  local ok, cut = stands(p, epoch, after)
  if ok and after > s.last and epoch == p.epoch then ok, cut = false, nil end
  if ok then
    if after < gone then answer[3] = 'retention' end
  elseif not cut then
    answer[3] = 'epoch'
    after = gone
  elseif after < cut and #range(fmt(after + 1) .. '-0', fmt(cut) .. '-18446744073709551615', 1) > 0 then
    to = fmt(cut) .. '-18446744073709551615'
    if after < gone then answer[3] = 'retention' end
  else
    answer[3] = 'epoch'
    if after > cut then after = cut end
  end
end
local taken, size = 0, 0
local from = fmt(after + 1) .. '-0'
while true do
  local want = math.min(limit - taken + 1, 16)
  local chunk = range(from, to, want)
  for _, entry in ipairs(chunk) do
    local n, at = string.match(entry[1], '(%d+)-(%d+)')
    if not since or tonumber(at) >= since then
      local value = entry[2][6]
      if taken > 0 and (taken >= limit or size + #value > bytes) then
        answer[4] = 1
        return answer
      end
      taken, size = taken + 1, size + #value
      answer[#answer + 1] = n
      answer[#answer + 1] = entry[2][2]
      answer[#answer + 1] = entry[2][4]
      answer[#answer + 1] = value
    end
    from = fmt(tonumber(n) + 1) .. '-0'
  end
  if #chunk < want then break end
end
if to ~= '+' then answer[4] = 1 end
return answer
`;
