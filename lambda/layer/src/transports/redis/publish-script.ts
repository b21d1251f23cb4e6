/** Takes a batch: numbered, stored once, published. It runs for every batch, so it is lean: seven commands for one envelope. */
import type { RedisSettings } from "./options.ts";
import { OPEN } from "./partition-script.ts";

/** A channel that is idle for so long is forgotten, its end last. */
export function lifeMs(retentionMs: number): number {
	return Math.floor((retentionMs * 17) / 16) + 60_000;
}

/** Goes on in the epoch that the caller knows; if that is not the one that stands, nothing is done. */
const AS_KNOWN = `
local epoch, line = ARGV[1], ''
local offset = call('HINCRBY', KEYS[1], epoch, count) - count
if offset < tonumber(ARGV[2]) or not string.find(call('INFO', 'replication'), ARGV[3], 1, true) then
  -- An offset that was not there is of no epoch that stands.
  if offset == 0 then call('HDEL', KEYS[1], epoch) else call('HINCRBY', KEYS[1], epoch, -count) end
  return false
end`;

const OPENED = `${OPEN}
local p, refusal = openPartition()
if not p then return redis.error_reply(refusal) end
local epoch, offset, line = p.epoch, p.offset, p.line
call('HINCRBY', KEYS[1], epoch, count)`;

export interface PublishScripts {
	/**
	 * KEYS: 1 meta, 2 state, 3 log, 4 live, then the id of each. ARGV: 1 epoch, 2 an offset over 0 that it had, 3 what INFO
	 * says of its line, 4 channel key, then each envelope. Answers the newest offset when all of them are new, or as
	 * `opening` does; nothing when the partition is not as the caller knows it.
	 */
	readonly known: string;
	/**
	 * The same, but ARGV 1 to 3 as in partition-script.ts. Answers epoch, offset, line, then position and whether it was
	 * there already of each.
	 */
	readonly opening: string;
}

/**
 * A state is "epoch last beat". A beat is a sixteenth of the retention: at the first envelope of each, what is too old
 * goes and the log's own end is put off. It is "-" before the first envelope ever, whose entry has one field more.
 */
export function publishScripts(settings: RedisSettings, command: "PUBLISH" | "SPUBLISH"): PublishScripts {
	const { retentionMs, dedupMs, maxEventsPerChannel } = settings;
	// Asked for at the last moment, it is still known: what is on its way takes its time.
	const remembered = Math.ceil((dedupMs * 9) / 8);
	const beatMs = Math.max(1, Math.floor(retentionMs / 16));
	const script = (begin: string): string => `
local call, format = redis.call, string.format
local count = #KEYS - 4
${begin}
local last, known, stood = offset, nil, nil
for i = 1, count do
  local key, position = KEYS[4 + i], epoch .. '.' .. format('%.0f', last + 1)
  if call('SET', key, position, 'PX', '${remembered}', 'NX') then last = last + 1
  else
    if stood == nil then stood = call('EXISTS', KEYS[2]) == 1 end
    local was = call('GET', key)
    local at = string.match(was, '^' .. epoch .. '%.(%d+)$')
    -- In a log that has lost its end, only what this very batch brought is still there.
    if stood or (at and tonumber(at) > offset) then
      known = known or {}
      known[i] = was
    else
      call('SET', key, position, 'PX', '${remembered}')
      last = last + 1
    end
  end
end
local newest = format('%.0f', last)
if last > offset then
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local beat, ms = format('%.0f', math.floor(now / ${beatMs})), '-' .. format('%.0f', now)
  local state = call('SET', KEYS[2], epoch .. ' ' .. newest .. ' ' .. beat, 'PX', '${lifeMs(retentionMs)}', 'GET')
  local prev, before
  if state then prev, before = string.match(state, '^%x+ (%d+) (%S+)$') end
  if not state or tonumber(prev) > offset then
    -- A log without its end, or its partition, cannot be continued: what there was of it counts as gone.
    call('UNLINK', KEYS[3])
    prev, before = format('%.0f', offset), '-'
  end
  local head = ARGV[4] .. '\\n' .. epoch .. ' ' .. format('%.0f', offset + 1) .. ' ' .. newest .. ' ' .. prev .. '\\n'
  local live, n = {}, offset
  for i = 1, count do
    if not (known and known[i]) then
      local envelope = ARGV[4 + i]
      n = n + 1
      local at = format('%.0f', n)
      if before == '-' then
        call('XADD', KEYS[3], at .. ms, 'e', epoch, 'p', prev, 'v', envelope, 'f', '')
        before = ''
      elseif not call('XADD', KEYS[3], 'NOMKSTREAM', 'MAXLEN', '~', '${maxEventsPerChannel}', at .. ms, 'e', epoch, 'p', prev, 'v', envelope) then
        -- It was evicted: begun again, and with a life of its own.
        call('XADD', KEYS[3], at .. ms, 'e', epoch, 'p', prev, 'v', envelope)
        before = ''
      end
      prev = at
      live[#live + 1] = envelope
    end
  end
  if before ~= beat then
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
  end
  call('${command}', KEYS[4], head .. (live[2] and table.concat(live, '\\n') or live[1]))
end
if not known and line == '' then return last end
call('HINCRBY', KEYS[1], epoch, last - offset - count)
local answer, n = { epoch, newest, line }, offset
for i = 1, count do
  local position = known and known[i]
  answer[2 * i + 3] = position and 1 or 0
  if not position then
    n = n + 1
    position = epoch .. '.' .. format('%.0f', n)
  end
  answer[2 * i + 2] = position
end
return answer
`;
	return { known: script(AS_KNOWN), opening: script(OPENED) };
}
