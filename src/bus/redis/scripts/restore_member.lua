-- Put a name back on a room's roster, unless a connection of another instance has its place. The room is
-- not told, since nobody has come, unless others have been told that the name had left.
clear_if_empty(KEYS[1], KEYS[3])
local owner, quiet = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^([^ ~]+)(~?)')
local origin, written = string.match(ARGV[2], '^([^ ]+)(.*)$')
if owner == origin then return 0 end
if owner then
  if string.match(owner, '^[^.]+') ~= string.match(origin, '^[^.]+') then return 0 end
  change_sum(KEYS[3], ARGV[1], owner, -1)
end
local small = redis.call('HLEN', KEYS[1]) + (owner and 0 or 1) <= tonumber(ARGV[7])
quiet = quiet or (small and '' or '~')
redis.call('HSET', KEYS[1], ARGV[1], origin .. quiet .. written)
change_sum(KEYS[3], ARGV[1], origin, 1)
if not owner and ARGV[8] == '1' and small then
  tell(ARGV[3], ARGV[4], ARGV[5], '{"natterjack":"joined"' .. log_position(KEYS[2]) .. ARGV[6])
end
return 1
