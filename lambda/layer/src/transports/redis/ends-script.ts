/** Where channels end, and where partitions do: a tip. */
import { PARTITION } from "./partition-script.ts";

/**
 * KEYS: state and log of each channel. ARGV: 4 how long an idle channel lives, from now on. Answers epoch, offset, then the
 * end of each. A channel without a state gets one: its end is a floor, under which nothing is known.
 */
export const ENDS = `${PARTITION}
local life = ARGV[4]
-- Who takes no writes for now can be read all the same.
local function renew(key)
  local refusal = redis.pcall('PEXPIRE', key, life)
  refusal = type(refusal) == 'table' and refusal.err
  if refusal and not string.find(refusal, 'NOREPLICAS', 1, true) and not string.find(refusal, 'MISCONF', 1, true) then
    redis.call('PEXPIRE', key, life)
  end
end
local answer = { p.epoch, fmt(p.offset) }
for i = 2, #KEYS, 2 do
  local s = readState(KEYS[i])
  if not s then
    redis.call('UNLINK', KEYS[i + 1])
    s = { epoch = p.epoch, last = p.offset, beat = '-' }
    redis.call('SET', KEYS[i], stateText(s), 'PX', life)
  else
    if not stands(p, s.epoch, s.last) then
      -- So that whoever is at this end is told of the loss, once.
      s.epoch = p.epoch
      redis.call('SET', KEYS[i], stateText(s), 'KEEPTTL')
    end
    renew(KEYS[i])
    renew(KEYS[i + 1])
  end
  answer[#answer + 1] = s.epoch .. '.' .. fmt(s.last)
end
return answer
`;

/**
 * Tips of many partitions that share a server, for little: nothing is opened or turned. KEYS: meta of each. ARGV: 1 number
 * of partitions, then what the caller knows of each. Answers epoch and offset of each; empty where a look is not enough,
 * as on who was the primary and may hear nothing any more.
 */
export const TIPS = `
local info = redis.call('INFO', 'replication')
local isPrimary = string.find(info, 'role:master', 1, true)
local answer = {}
for i, key in ipairs(KEYS) do
  local told, at = string.match(ARGV[i + 1], '^(%x+)%.(%d+)$')
  local m = redis.call('HMGET', key, 'epoch', told or '', 'line', 'partitions')
  local plain = isPrimary and told and told == m[1] and m[2] and tonumber(at) <= tonumber(m[2])
    and m[3] and m[4] == ARGV[1] and string.find(info, 'master_replid:' .. m[3], 1, true)
  answer[2 * i - 1] = plain and told or ''
  answer[2 * i] = plain and m[2] or ''
end
return answer
`;
