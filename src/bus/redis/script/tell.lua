-- Send a private message to the instance of its recipient. 0: nobody has that name.
local seen = redis.call('GET', KEYS[3])
if seen and tonumber(ARGV[4]) <= tonumber(seen) then return 1 end
local owner = redis.call('HGET', KEYS[1], ARGV[1])
if not owner then return 0 end
local instance = string.match(owner, '^[^.]+')
local lease = redis.call('ZSCORE', KEYS[2], instance)
local time = redis.call('TIME')
if not lease or tonumber(lease) <= time[1] * 1000 + time[2] / 1000 then return 0 end
redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5])
redis.call('PUBLISH', ARGV[2] .. instance, ARGV[3])
return 1
