-- Put a name on a room's roster, and tell: the room aloud, if it is small and has not been told of
-- the name, else only the instances, which let the peer in by it. With it goes the room's last
-- message. The roster notes behind the connection that has the name if the room was not told.
-- Returns how many are in the room.
local owner = redis.call('HGET', KEYS[1], ARGV[1])
local told = owner and not string.find(owner, ' quiet', 1, true)
local count = redis.call('HLEN', KEYS[1]) + (owner and 0 or 1)
local aloud = not told and count <= tonumber(ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ((told or aloud) and '' or ' quiet'))
local envelope = aloud and '{"natterjack":"joined"' or '{"natterjack":"joined quietly"'
local last = redis.call('GET', KEYS[2])
if last then envelope = envelope .. ',"last":"' .. last .. '"' end
redis.call('PUBLISH', ARGV[3], envelope .. ARGV[4])
return count
