-- Take a connection's name off a room's roster; tell the room if it is small.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if string.match(entry or '', '^[^ ]+') ~= ARGV[2] then return 0 end
local count = redis.call('HLEN', KEYS[1])
redis.call('HDEL', KEYS[1], ARGV[1])
if count <= tonumber(ARGV[5]) then
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return 1
