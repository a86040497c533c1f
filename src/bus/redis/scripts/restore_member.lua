-- Put a name back on a room's roster. The room is not told, since nobody has come, unless others have been
-- told that the name had left.
local owner = redis.call('HGET', KEYS[1], ARGV[1])
local small = redis.call('HLEN', KEYS[1]) + (owner and 0 or 1) <= tonumber(ARGV[7])
local quiet = small and '' or '~'
if owner then quiet = string.match(owner, '^[^ ~]+(~?)') end
local origin, written = string.match(ARGV[2], '^([^ ]+)(.*)$')
redis.call('HSET', KEYS[1], ARGV[1], origin .. quiet .. written)
if not owner and ARGV[8] == '1' and small then
  local last = redis.call('GET', KEYS[2])
  last = last and ',"last":"' .. last .. '"' or ''
  teller(ARGV[3], ARGV[4], ARGV[5])('{"natterjack":"joined"' .. last .. ARGV[6])
end
return owner and 0 or 1
