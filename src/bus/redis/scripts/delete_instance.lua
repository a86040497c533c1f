-- Delete what is left of a dead instance, once its names and rosters are removed, if its lease still has
-- the given value. The lease goes last: another instance that finds it before that does all of this again.
if (redis.call('ZSCORE', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
