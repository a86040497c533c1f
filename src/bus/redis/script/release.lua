-- Take a name back from the connection that has it.
local owner = redis.call('HGET', KEYS[2], ARGV[1])
if not owner or string.match(owner, '^[^ ]+') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[1], ARGV[1])
return 1
