-- Take a connection's name off a room's roster. The room is told if it was told of the join, or if it is
-- so small that its list names everybody.
local entry = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local owner, quiet = string.match(entry, '^([^ ~]+)(~?)')
if owner ~= ARGV[2] then return 0 end
local count = redis.call('HLEN', KEYS[1])
redis.call('HDEL', KEYS[1], ARGV[1])
change_sum(KEYS[2], ARGV[1], owner, -1)
if count <= tonumber(ARGV[7]) or quiet == '' then
  tell(ARGV[3], ARGV[4], ARGV[5], ARGV[6])
end
return 1
