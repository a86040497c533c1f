-- Renew an instance's lease, and send it the canary that shows it.
-- Returns the state of the lease before: 0: there was none, 1: there was one, 2: the instance was taken
-- for dead and has not registered its names again since. Then the instances whose leases ran out longer
-- ago than the given time.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local had = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then had = 2 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {had, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[5], 'LIMIT', 0, 100)}
