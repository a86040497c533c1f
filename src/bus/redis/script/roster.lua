-- How many are in a room, and who, if they are not too many.
local count = redis.call('HLEN', KEYS[1])
if count > tonumber(ARGV[1]) then return {count} end
return {count, redis.call('HKEYS', KEYS[1])}
