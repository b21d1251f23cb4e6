/**
 * What every script of a partition begins with; each runs atomically. Offsets are the partition's own counter, so every
 * entry of it has another one, and each names the one before it in its channel.
 *
 * An epoch is one unbroken line of writes. When the server's replication id is not the one that wrote last (promotion,
 * restart), the old epoch is closed at the offset that survived and a fresh one goes on from there. A position of a
 * closed epoch beyond that offset was given for a write that is gone, however far the counter has come since. What
 * callers know (`known`, their newest positions) proves such a loss to everybody: the closed epoch is marked lossy.
 *
 * The offset is kept in a field that is called as its epoch, and that field goes with its epoch: to count on in an epoch
 * is one command, which finds nothing when the epoch is not the one that stands. An epoch has one replication id.
 */

/**
 * Answers the partition as it stands, opened or turned where it has to be; or none and why. KEYS[1] meta; ARGV: 1 number
 * of partitions, 2 a fresh epoch, 3 what the caller knows: "epoch.offset epoch.offset".
 */
export const OPEN = `
local fmt = function(n) return string.format('%.0f', n) end
local function openPartition()
  local m = redis.call('HMGET', KEYS[1], 'epoch', 'line', 'past', 'partitions')
  local info = redis.call('INFO', 'replication')
  local line = m[2]
  if not line or not string.find(info, 'master_replid:' .. line, 1, true) then
    line = string.match(info, 'master_replid:(%x+)')
    if not line then return nil, 'NOLINE INFO replication shows no master_replid' end
  end
  local offset = m[1] and redis.call('HGET', KEYS[1], m[1]) or '0'
  local p = { epoch = m[1], offset = tonumber(offset), past = {}, line = line }
  local fresh
  local save = function()
    local past = {}
    for i, t in ipairs(p.past) do past[i] = t.epoch .. '.' .. fmt(t.cut) .. (t.lossy and 'x' or '') end
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
    if m[1] then redis.call('HDEL', KEYS[1], m[1]) end
    redis.call('HSET', KEYS[1], 'epoch', p.epoch, p.epoch, fmt(p.offset), 'line', line, 'run', run,
      'past', table.concat(past, ' '), 'partitions', ARGV[1])
  end
  local isNew = not p.epoch
  if isNew then p.epoch, fresh = ARGV[2], true
  elseif m[4] ~= ARGV[1] then return nil, 'PARTITIONS the store has ' .. tostring(m[4]) .. ', not ' .. ARGV[1] end
  for epoch, cut, lossy in string.gmatch(m[3] or '', '(%x+)%.(%d+)(x?)') do
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
  if m[2] ~= line and not isNew then
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
`;

/** Leaves the partition in `p`. A channel's state is "epoch last beat": see publish-script.ts. */
export const PARTITION = `${OPEN}
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
local function stateText(s)
  return s.epoch .. ' ' .. fmt(s.last) .. ' ' .. s.beat
end
local p, refusal = openPartition()
if not p then return redis.error_reply(refusal) end
local function readState(key)
  local epoch, last, beat = string.match(redis.call('GET', key) or '', '^(%x+) (%d+) (%S+)$')
  last = tonumber(last)
  -- One that is ahead of its partition outlived it, as when only some of the keys were evicted.
  if last and last <= p.offset then return { epoch = epoch, last = last, beat = beat } end
end
`;
