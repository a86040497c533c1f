-- Number and date a private message, and send it to the instance of its recipient. Keep it for a while,
-- in case that instance is not listening at the moment. A message with a known reference is not sent
-- again. One that has come to an instance without its recipient goes to all the others.
-- Returns its id and time; nothing if nobody has that name.
local known, at = string.match(redis.call('GET', KEYS[4]) or '', '^([^ ]+) (%d+)$')
if known then return {known, tonumber(at)} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local instances = {}
if ARGV[8] == '' then
  local owner = redis.call('HGET', KEYS[1], ARGV[1])
  if not owner then return false end
  instances[1] = string.match(owner, '^[^.]+')
  if not redis.call('ZSCORE', KEYS[2], instances[1]) then return false end
else
  for _, instance in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if instance ~= ARGV[8] then instances[#instances + 1] = instance end
  end
end
local epoch, n = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+)%-(%d+)$')
-- An id is higher than any that a Redis could have lost.
if not epoch or tonumber(epoch) < now then epoch, n = string.format('%.0f', now), 0 end
local id = epoch .. '-' .. string.format('%.0f', n + 1)
local date = string.format('%.0f', now)
local envelope = '{"natterjack":"private","id":"' .. id .. '","at":' .. date .. ARGV[3]
redis.call('SET', KEYS[3], id)
redis.call('SET', KEYS[4], id .. ' ' .. date, 'EX', ARGV[5])
for _, instance in ipairs(instances) do
  redis.call('XADD', ARGV[4] .. instance, 'MAXLEN', '~', ARGV[6], id, 'message', envelope)
  redis.call('EXPIRE', ARGV[4] .. instance, ARGV[7])
  redis.call('PUBLISH', ARGV[2] .. instance, envelope)
end
return {id, now}
