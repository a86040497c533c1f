-- Give a name to a connection, unless another connection of a living instance has it. With the right
-- hash of a session key, or with a token, the name is taken over, and the instance of the older connection is told. It is also
-- noted for a while, in case that instance is not listening at the moment. An instance is alive as long as it
-- has a lease. Names are stored by their comparison keys; owner, hash and, if it differs, the displayed name
-- are the value.
-- A name that no instance has, but that is visible, belongs to another program. Only a peer that
-- registers its name again has put it there itself.
-- A name whose holder is away is granted to the holder alone. What waits for the holder does so until the
-- record of that is deleted.
-- Returns 0 if it is taken, or else the time, in microseconds, and if the holder has private conversations: since
-- when the holder was away, in milliseconds, at the latest now, and how far they had been heard.
clear_if_empty(KEYS[2], KEYS[4])
local token = ARGV[12] == '1'
local owner = redis.call('HGET', KEYS[2], ARGV[1])
local origin, lock, shown
if owner then
  origin, lock, shown = string.match(owner, '^([^ ]+) ?([^ ]*) ?(.*)$')
  if origin ~= ARGV[2] then
    local instance = string.match(origin, '^[^.]+')
    if redis.call('ZSCORE', KEYS[3], instance) then
      if ARGV[6] ~= '1' or not token and (lock == '' or lock ~= ARGV[3]) then return 0 end
      redis.call('HSET', ARGV[8] .. instance, ARGV[7], origin)
      redis.call('EXPIRE', ARGV[8] .. instance, ARGV[9])
      redis.call('PUBLISH', ARGV[4] .. instance, '{"natterjack":"replaced","from":"' .. origin .. '"' .. ARGV[5])
    elseif lock ~= '' and lock ~= ARGV[3] and not token then
      -- Its instance has died, and the holder may come back.
      return 0
    end
  end
  if origin ~= ARGV[2] then change_sum(KEYS[4], ARGV[1], origin, -1) end
  if shown == '' then shown = ARGV[1] end
  if shown ~= ARGV[7] then redis.call('SREM', KEYS[1], shown) end
end
local since, hash, lines = away(ARGV[10], ARGV[1])
if not owner and ARGV[6] == '1' then
  if since and hash ~= ARGV[3] and not token then return 0 end
  for _, spelling in ipairs({ARGV[7], ARGV[1]}) do
    if redis.call('SISMEMBER', KEYS[1], spelling) == 1 then return 0 end
  end
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local granted = {string.format('%.0f', time[1] * 1000000 + time[2])}
if since and hash == ARGV[3] then
  redis.call('SET', ARGV[10] .. ARGV[1], since .. ' ' .. hash .. lines, 'PX', ARGV[11])
  granted = {granted[1], since, lines}
elseif ARGV[3] ~= '' and redis.call('HGET', KEYS[5], '') == ARGV[3] then
  granted = {granted[1], now, ''}
end
if since and hash ~= ARGV[3] then redis.call('DEL', ARGV[10] .. ARGV[1]) end
local value = ARGV[2] .. ' ' .. ARGV[3]
if ARGV[7] ~= ARGV[1] then value = value .. ' ' .. ARGV[7] end
redis.call('HSET', KEYS[2], ARGV[1], value)
if origin ~= ARGV[2] then change_sum(KEYS[4], ARGV[1], ARGV[2], 1) end
redis.call('SADD', KEYS[1], ARGV[7])
return granted
