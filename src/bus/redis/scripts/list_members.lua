-- List what a room's roster, or the hash of all names, holds of one instance, and set the instance's sum
-- right. ARGV: the instance, and whether the list is wanted.
-- Returns its names and their entries.
local entries = redis.call('HGETALL', KEYS[1])
local own, sum = {}, 0
for i = 1, #entries, 2 do
  local origin = string.match(entries[i + 1], '^[^ ~]+') or ''
  if string.match(origin, '^[^.]+') == ARGV[1] then
    own[#own + 1] = entries[i]
    own[#own + 1] = entries[i + 1]
    sum = sum + weight(entries[i], origin)
  end
end
redis.call('HDEL', KEYS[2], ARGV[1])
if sum > 0 then redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', sum)) end
return ARGV[2] == '1' and own or {}
