-- Tell the instances that a peer without a name hears a room from here on: it lets the peer in. With
-- it goes the room's last message.
local last = redis.call('GET', KEYS[1])
local envelope = '{"natterjack":"joined quietly"'
if last then envelope = envelope .. ',"last":"' .. last .. '"' end
redis.call('PUBLISH', ARGV[1], envelope .. ARGV[2])
return 1
