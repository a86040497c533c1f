-- Put a name on a room's roster, and tell: the room aloud, if it is small and the name new there,
-- else only the instances, which let the peer in by it. With it goes the room's last message.
-- Returns how many are in the room.
local new = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local count = redis.call('HLEN', KEYS[1])
local envelope = '{"natterjack":"joined"'
if new == 0 or count > tonumber(ARGV[5]) then envelope = '{"natterjack":"joined quietly"' end
local last = redis.call('GET', KEYS[2])
if last then envelope = envelope .. ',"last":"' .. last .. '"' end
redis.call('PUBLISH', ARGV[3], envelope .. ARGV[4])
return count
