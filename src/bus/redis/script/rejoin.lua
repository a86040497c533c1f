-- Put a name back on a room's roster: without a word, since nobody has come. But if others have been
-- told that it had left, tell them that it is here, as for a join.
local new = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if new == 1 and ARGV[6] == '1' and redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[5]) then
  local last = redis.call('GET', KEYS[2])
  last = last and ',"last":"' .. last .. '"' or ''
  redis.call('PUBLISH', ARGV[3], '{"natterjack":"joined"' .. last .. ARGV[4])
end
return new
