-- In front of every script that changes a roster or the names. Each instance compares the sum over its
-- entries with that of the people who are really there. An entry counts 2^32 and the first 32 bits of the
-- SHA-1 of its name and its connection. The field of an instance without entries is removed.
local function weight(name, origin)
  return 4294967296 + tonumber(string.sub(redis.sha1hex(name .. ' ' .. origin), 1, 8), 16)
end

local function change_sum(sums, name, origin, sign)
  local instance = string.match(origin, '^[^.]+')
  local change = string.format('%.0f', sign * weight(name, origin))
  if redis.call('HINCRBY', sums, instance, change) == 0 then redis.call('HDEL', sums, instance) end
end

-- Without entries there are no sums. Redis may have thrown one of the two keys away to make room.
local function clear_if_empty(entries, sums)
  if redis.call('HLEN', entries) == 0 then redis.call('DEL', sums) end
end

