-- Release a name, if this connection has it. A name that no connection has is released, too, if the caller
-- knows that it was this connection's: then Redis has lost that.
-- ARGV: the name's key, the connection, how the name is shown, or nothing where the caller does not know, where
-- it is noted who is away, for how long, in milliseconds, and how far private conversations have been heard.
local owner = redis.call('HGET', KEYS[2], ARGV[1])
local shown = ARGV[3]
if owner then
  local origin
  origin, shown = string.match(owner, '^([^ ]+) ?[^ ]* ?(.*)$')
  if origin ~= ARGV[2] then return 0 end
  local time = redis.call('TIME')
  note_away(ARGV[4], ARGV[1], owner, time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[5]), ARGV[6])
  redis.call('HDEL', KEYS[2], ARGV[1])
  change_sum(KEYS[3], ARGV[1], origin, -1)
  if shown == '' then shown = ARGV[1] end
end
if shown ~= '' then redis.call('SREM', KEYS[1], shown) end
return 1
