-- How many are in a room, and its last message. If they are not too many, also who they are: for each
-- comparison key the connection and, if it differs, the displayed name.
local count = redis.call('HLEN', KEYS[1])
local last = string.match(redis.call('GET', KEYS[2]) or '', '^[^ ]*')
if count > tonumber(ARGV[1]) then return {count, last} end
return {count, last, redis.call('HGETALL', KEYS[1])}
