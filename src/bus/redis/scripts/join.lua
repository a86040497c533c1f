-- Put a name on a room's roster, and tell: the room aloud, if it is small and has not been told of
-- the name, else only the instances, which let the peer in by it. With it goes the room's last
-- message. The roster marks the connection that has the name with a ~ if the room was not told. A name
-- that was there, but written in another way, has left as far as the room can tell.
-- Returns how many are in the room.
local entry = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local owner, quiet, shown = string.match(entry, '^([^ ~]+)(~?) ?(.*)$')
local origin, written = string.match(ARGV[2], '^([^ ]+)(.*)$')
local told = owner and quiet == ''
if told and shown ~= string.sub(written, 2) then
  local left = cjson.encode(shown ~= '' and shown or ARGV[1])
  redis.call('PUBLISH', ARGV[3], '{"natterjack":"left","from":"' .. owner .. '","user":' .. left .. '}')
  told = false
end
local count = redis.call('HLEN', KEYS[1]) + (owner and 0 or 1)
local aloud = not told and count <= tonumber(ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], origin .. ((told or aloud) and '' or '~') .. written)
local envelope = aloud and '{"natterjack":"joined"' or '{"natterjack":"joined quietly"'
local last = redis.call('GET', KEYS[2])
if last then envelope = envelope .. ',"last":"' .. last .. '"' end
redis.call('PUBLISH', ARGV[3], envelope .. ARGV[4])
return count
