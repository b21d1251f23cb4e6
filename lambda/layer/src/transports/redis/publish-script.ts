/** Takes a batch: numbered, stored once, published. This runs for every batch, so it is lean. */
import type { RedisSettings } from "./options.ts";
import { OPEN } from "./partition-script.ts";

/** A channel that is idle for so long is forgotten, its end last. */
export function lifeMs(retentionMs: number): number {
	return Math.floor((retentionMs * 17) / 16) + 60_000;
}

/**
 * KEYS: 1 meta, 2 state, 3 log, 4 and 5 ids, 6 live. ARGV: 1 to 3 as in partition-script.ts, 4 channel key, then id and
 * envelope of each. Answers epoch, offset, then position and whether it was there already of each.
 *
 * A state is "epoch last base trim ids": the newest offset, the one before the oldest ever, when to trim next, and the
 * window of time of the newest ids, with `b` when the window before has ids too. Numbers stay text where they can.
 */
export function publishScript(settings: RedisSettings, command: "PUBLISH" | "SPUBLISH"): string {
	const { retentionMs, dedupMs, maxEventsPerChannel } = settings;
	return `
local call, format = redis.call, string.format
local m = call('HMGET', KEYS[1], 'epoch', 'offset', 'line', 'partitions')
local epoch, last, offset = m[1], m[2], tonumber(m[2])
local told, at = string.match(ARGV[3], '^(%x*)%.?(%d*)$')
if not (epoch and m[3] and m[4] == ARGV[1] and (told == '' or (told == epoch and tonumber(at) <= offset))
    and string.find(call('INFO', 'replication'), 'master_replid:' .. m[3], 1, true)) then
  -- Not as it was left: seldom, so that what it takes is made only here.
${OPEN}
  local p, refusal = openPartition()
  if not p then return redis.error_reply(refusal) end
  epoch, offset, last = p.epoch, p.offset, fmt(p.offset)
end
local text = call('GET', KEYS[2])
local base, trim, window, both
if text then
  last, base, trim, window, both = string.match(text, '^%x+ (%d+) (%d+) (%d+) (%d+)(%l)$')
  trim, window = tonumber(trim), tonumber(window)
else
  -- A log without its end cannot be continued: what there was of it counts as gone.
  call('UNLINK', KEYS[3], KEYS[4], KEYS[5])
  base, trim, window, both = last, 0, 0, 'a'
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = math.floor(now / ${dedupMs})
-- A clock that was set back a little stays in the window that was begun.
if window == bucket + 1 then bucket = window end
local ids = KEYS[4 + bucket % 2]
if window ~= bucket then
  both = window == bucket - 1 and 'b' or 'a'
  call('UNLINK', ids)
end
local older = both == 'b' and KEYS[5 - bucket % 2]
local ms = '-' .. format('%.0f', now)
local answer, live, prev, first, bare = { epoch, '' }, {}, last, nil, false
for i = 5, #ARGV, 2 do
  local id, envelope = ARGV[i], ARGV[i + 1]
  -- Its empty field says that there is such a key, which ends by itself.
  local found = call('HMGET', ids, '', id)
  local known = found[2] or (older and call('HGET', older, id))
  bare = bare or not found[1]
  if known then
    answer[#answer + 1] = known
    answer[#answer + 1] = 1
  else
    offset = offset + 1
    local n = format('%.0f', offset)
    local position = epoch .. '.' .. n
    call('XADD', KEYS[3], 'MAXLEN', '~', '${maxEventsPerChannel}', n .. ms, 'e', epoch, 'p', last, 'v', envelope)
    call('HSET', ids, id, position)
    first, last = first or n, n
    answer[#answer + 1] = position
    answer[#answer + 1] = 0
    live[#live + 1] = envelope
  end
end
if first then
  call('HSET', KEYS[1], 'offset', last)
  if bare then
    call('HSET', ids, '', '1')
    call('PEXPIRE', ids, '${2 * dedupMs}')
  end
  local life = 'KEEPTTL'
  if now >= trim then
    -- Once in a while: what is too old goes, and the channel's own end is put off.
    local kept
    repeat
      local oldest = call('XRANGE', KEYS[3], '-', '+', 'COUNT', 100)
      for _, entry in ipairs(oldest) do
        local n, at = string.match(entry[1], '(%d+)-(%d+)')
        kept = tonumber(at) >= now - ${retentionMs} and n
        if kept then break end
      end
      call('XTRIM', KEYS[3], 'MINID', kept or format('%.0f', tonumber(string.match(oldest[#oldest][1], '^%d+')) + 1))
    until kept
    call('PEXPIRE', KEYS[3], '${lifeMs(retentionMs)}')
    trim, life = now + ${Math.floor(retentionMs / 16)}, 'PX'
  end
  local state = epoch .. ' ' .. last .. ' ' .. base .. ' ' .. format('%.0f', trim) .. ' ' .. bucket .. both
  if life == 'PX' then call('SET', KEYS[2], state, 'PX', '${lifeMs(retentionMs)}') else call('SET', KEYS[2], state, 'KEEPTTL') end
  local head = ARGV[4] .. '\\n' .. epoch .. ' ' .. first .. ' ' .. last .. ' ' .. prev
  call('${command}', KEYS[6], head .. '\\n' .. (live[2] and table.concat(live, '\\n') or live[1]))
end
answer[2] = format('%.0f', offset)
return answer
`;
}
