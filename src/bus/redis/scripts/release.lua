-- Release a name, if this connection has it.
local owner = redis.call('HGET', KEYS[2], ARGV[1])
local origin, shown = string.match(owner or '', '^([^ ]+) ?[^ ]* ?(.*)$')
if origin ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
change_sum(KEYS[3], ARGV[1], origin, -1)
redis.call('SREM', KEYS[1], shown ~= '' and shown or ARGV[1])
return 1
