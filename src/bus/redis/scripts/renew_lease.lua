-- Renew an instance's lease, and send it the canary that shows it. A lease must get another value with
-- each renewal; for people who look, it is Redis' time in milliseconds.
-- Returns the state of the lease before: 0: there was none, 1: there was one, 2: the instance was taken
-- for dead and has not registered its names again since. Then all leases with their values.
local time = redis.call('TIME')
local value = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
local had = before and 1 or 0
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then had = 2 end
if before and tonumber(before) == value then value = value + 1 end
redis.call('ZADD', KEYS[1], value, ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return {had, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
