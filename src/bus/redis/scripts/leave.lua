-- Take a connection's name off a room's roster. The room is told if it was told of the join, or if it is
-- so small that its list names everybody.
local entry = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local owner, quiet = string.match(entry, '^([^ ~]+)(~?)')
if owner ~= ARGV[2] then return 0 end
local count = redis.call('HLEN', KEYS[1])
redis.call('HDEL', KEYS[1], ARGV[1])
if count <= tonumber(ARGV[5]) or quiet == '' then
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return 1
