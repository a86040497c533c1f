-- Mark an instance as dead, if its lease has run out, so that it knows when it wakes up.
-- Returns the rooms in which it had peers.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) > now then return false end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
return redis.call('SMEMBERS', KEYS[3])
