-- How many are in a room, its last message, and who is there, if they are not too many.
local count = redis.call('HLEN', KEYS[1])
local last = redis.call('GET', KEYS[2]) or ''
if count > tonumber(ARGV[1]) then return {count, last} end
return {count, last, redis.call('HKEYS', KEYS[1])}
