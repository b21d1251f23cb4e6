/**
 * The scripts of the Redis backend. A partition is three keys of one hash tag: `rows` (a hash, "version\ntext" by
 * channel key), `order` (a sorted set, for pages) and `expiry` (a sorted set, by the server's own clock, the only one
 * that expires anything). Each write clears a few rows that are over, and the keys of an idle partition expire whole.
 */
const NOW = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function live(key)
	local at = redis.call('ZSCORE', KEYS[3], key)
	if not at or tonumber(at) <= now then return nil end
	return redis.call('HGET', KEYS[1], key) or nil
end
local function drop(key)
	redis.call('HDEL', KEYS[1], key)
	redis.call('ZREM', KEYS[2], key)
	redis.call('ZREM', KEYS[3], key)
end
local function version(key)
	local value = live(key)
	return value and string.sub(value, 1, string.find(value, '\\n', 1, true) - 1) or ''
end
`;

/** ARGV: key. */
export const READ = `${NOW}
return live(ARGV[1])`;

/**
 * ARGV: key, expected version or '', the row, retention in ms, channel of changes or ''. A row that stands already is the
 * own write, whose answer was lost and which a client sent again.
 */
export const WRITE = `${NOW}
if live(ARGV[1]) == ARGV[3] then return 1 end
if version(ARGV[1]) ~= ARGV[2] then return 0 end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 16)) do drop(key) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], now + ARGV[4], ARGV[1])
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[4] + 60000) end
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[1]) end
return 1`;

/** ARGV: key, expected version, channel of changes or ''. */
export const REMOVE = `${NOW}
if version(ARGV[1]) ~= ARGV[2] then return 0 end
drop(ARGV[1])
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[1]) end
return 1`;

export const COUNT = `${NOW}
return redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')`;

/** ARGV: the last key seen or '', limit. Answers the last key looked at, then key and row in turn. */
export const LIST = `${NOW}
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local keys = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, ARGV[2])
local answer = { keys[#keys] or '' }
for _, key in ipairs(keys) do
	local value = live(key)
	if value then
		answer[#answer + 1] = key
		answer[#answer + 1] = value
	end
end
return answer`;
