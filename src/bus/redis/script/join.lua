-- Put a name on a room's roster, and tell: the room aloud, if it is small, else only the
-- instances, which let the peer in by it. Returns how many are in the room.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local count = redis.call('HLEN', KEYS[1])
local envelope = ARGV[4]
if count > tonumber(ARGV[6]) then envelope = ARGV[5] end
redis.call('PUBLISH', ARGV[3], envelope)
return count
