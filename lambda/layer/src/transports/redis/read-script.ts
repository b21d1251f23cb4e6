/** A page of a channel's log, with what is said of it. */
import { PARTITION } from "./partition-script.ts";

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
-- The first entry ever says so, and a channel that never had one has no beat.
local isShort = oldest and not oldest[2][8] or not oldest and s.beat ~= '-'
local to = '+'
if since then
  if isShort and (not oldest or tonumber(string.match(oldest[1], '-(%d+)')) > since) then answer[3] = 'retention' end
  after = gone
elseif beginning then
  if isShort then answer[3] = 'retention' end
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
