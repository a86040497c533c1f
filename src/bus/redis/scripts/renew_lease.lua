-- Renew an instance's lease, and let it hear that it did.
-- Returns how it stood: 0: it had none, 1: it had one, 2: it was taken for dead and has not registered its
-- names again since; then the instances whose leases have run out longer ago than they say.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local had = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then had = 2 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {had, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[5], 'LIMIT', 0, 100)}
