-- Give a name to a connection, unless another connection of a living instance has it. The holder of
-- the key to its lock takes it over, and the older connection's instance is told. A lease counts for
-- some time longer than it says where the caller can't know whether its owner has had a chance to renew it.
-- Names are known by their keys; beside its owner and lock stands how the name is shown, if otherwise.
-- Returns 0: taken, 1: granted, 2: taken over.
local granted = 1
local owner = redis.call('HGET', KEYS[2], ARGV[1])
if owner then
  local origin, lock, shown = string.match(owner, '^([^ ]+) ?([^ ]*) ?(.*)$')
  if origin ~= ARGV[2] then
    local instance = string.match(origin, '^[^.]+')
    local lease = redis.call('ZSCORE', KEYS[3], instance)
    local time = redis.call('TIME')
    if lease and tonumber(lease) + ARGV[7] > time[1] * 1000 + time[2] / 1000 then
      if ARGV[6] ~= '1' or lock == '' or lock ~= ARGV[3] then return 0 end
      redis.call('PUBLISH', ARGV[4] .. instance, '{"natterjack":"replaced","from":"' .. origin .. '"' .. ARGV[5])
      granted = 2
    end
  end
  if shown == '' then shown = ARGV[1] end
  if shown ~= ARGV[8] then redis.call('SREM', KEYS[1], shown) end
end
local value = ARGV[2] .. ' ' .. ARGV[3]
if ARGV[8] ~= ARGV[1] then value = value .. ' ' .. ARGV[8] end
redis.call('HSET', KEYS[2], ARGV[1], value)
redis.call('SADD', KEYS[1], ARGV[8])
return granted
