-- Mark an instance as dead, so that it knows when it wakes up. Do nothing if its lease has another value
-- than the given one; an empty value stands for no lease.
-- Returns the rooms in which it had peers.
if (redis.call('ZSCORE', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[1])
return redis.call('SMEMBERS', KEYS[3])
