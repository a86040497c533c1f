-- Put a name on a room's roster, and tell: the room aloud, if it is small and the name new there,
-- else only the instances, which let the peer in by it. With it goes the room's last message.
-- A name that was there, but written in another way, has left as far as the room can tell.
-- Returns how many are in the room.
local origin, shown = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^([^ ]+) ?(.*)$')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local count = redis.call('HLEN', KEYS[1])
local small = count <= tonumber(ARGV[5])
local same = shown == string.match(ARGV[2], '^[^ ]+ ?(.*)$')
if origin and not same and small then
  local left = cjson.encode(shown ~= '' and shown or ARGV[1])
  redis.call('PUBLISH', ARGV[3], '{"natterjack":"left","from":"' .. origin .. '","user":' .. left .. '}')
end
local envelope = '{"natterjack":"joined"'
if same or not small then envelope = '{"natterjack":"joined quietly"' end
local last = redis.call('GET', KEYS[2])
if last then envelope = envelope .. ',"last":"' .. last .. '"' end
redis.call('PUBLISH', ARGV[3], envelope .. ARGV[4])
return count
