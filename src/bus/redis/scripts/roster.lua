-- How many are in a room, its last message, and who is there, if they are not too many: the keys of
-- their names, each with its connection and how the name is shown, if otherwise.
local count = redis.call('HLEN', KEYS[1])
local last = redis.call('GET', KEYS[2]) or ''
if count > tonumber(ARGV[1]) then return {count, last} end
return {count, last, redis.call('HGETALL', KEYS[1])}
