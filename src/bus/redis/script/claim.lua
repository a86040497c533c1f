-- Give a name to a connection, unless another connection of a living instance has it.
local owner = redis.call('HGET', KEYS[2], ARGV[1])
if owner and owner ~= ARGV[2] then
  local lease = redis.call('ZSCORE', KEYS[3], string.match(owner, '^[^.]+'))
  local time = redis.call('TIME')
  if lease and tonumber(lease) > time[1] * 1000 + time[2] / 1000 then return 0 end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[1], ARGV[1])
return 1
