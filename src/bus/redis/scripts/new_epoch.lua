-- Begin a new epoch, because Redis has lost the end of a room's log: no number may be given out twice.
-- Do nothing if another instance has begun one already.
-- Returns the last id of the room.
local last = redis.call('GET', KEYS[1])
if last and string.match(last, '^%d+') ~= ARGV[1] then return last end
local time = redis.call('TIME')
last = time[1] .. string.format('%03d', math.floor(time[2] / 1000)) .. '-0'
redis.call('SET', KEYS[1], last, 'EX', ARGV[2])
return last
