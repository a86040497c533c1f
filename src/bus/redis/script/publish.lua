-- Number a message, write it to the log, publish it. The instance numbers its messages, too: one
-- that has been published before the connection broke is not published again.
-- Returns the id; nothing for a repeated message that was not the instance's last in this room.
local seen = redis.call('GET', KEYS[3])
if seen then
  local number, id = string.match(seen, '^(%d+) (.*)$')
  if tonumber(ARGV[3]) == tonumber(number) then return id end
  if tonumber(ARGV[3]) < tonumber(number) then return '' end
end
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local epoch, n = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)%-(%d+)$')
if not epoch then
  redis.call('DEL', KEYS[2])
  epoch, n = now, 0
end
local id = epoch .. '-' .. string.format('%.0f', n + 1)
local message = '{"natterjack":"said","id":"' .. id .. '","at":' .. now .. ARGV[2]
if tonumber(ARGV[4]) > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], id, 'message', message)
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end
redis.call('SET', KEYS[1], id, 'EX', ARGV[5])
redis.call('SET', KEYS[3], ARGV[3] .. ' ' .. id, 'EX', ARGV[6])
redis.call('PUBLISH', ARGV[1], message)
return id
