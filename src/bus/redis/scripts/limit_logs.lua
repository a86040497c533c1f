-- Take the sizes of rooms' logs and choose those to delete, so that all logs together stay within a bound.
-- Those that were silent longest go first; the log of the last room stays.
-- KEYS: when each room was last spoken in (sorted set), the size of each log (hash), their sum. ARGV: the
-- bound in bytes, the life of a log in seconds; then for each room its name and the size of its log.
-- Returns the rooms whose logs are to be deleted.
local now = tonumber(redis.call('TIME')[1])
local sum = tonumber(redis.call('GET', KEYS[3]) or 0)

local function forget(room)
  sum = sum - (redis.call('HGET', KEYS[2], room) or 0)
  redis.call('HDEL', KEYS[2], room)
  redis.call('ZREM', KEYS[1], room)
end

for i = 3, #ARGV, 2 do
  forget(ARGV[i])
  sum = sum + ARGV[i + 1]
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[1], now, ARGV[i])
end
-- These have expired.
for _, room in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, 1000)) do
  forget(room)
end
local deleted = {}
while sum > tonumber(ARGV[1]) and #deleted < 1000 and redis.call('ZCARD', KEYS[1]) > 1 do
  local room = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
  forget(room)
  deleted[#deleted + 1] = room
end
redis.call('SET', KEYS[3], string.format('%.0f', sum))
return deleted
