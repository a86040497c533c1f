-- List who can't enter a room.
-- KEYS: moderation.
-- Returns the time, and each ban or kick that holds.
local now = redis_time()
local fields, bans = redis.call('HGETALL', KEYS[1]), {whole_text(now)}
for i = 1, #fields, 2 do
  if string.match(fields[i], '^ban:') and holds(cjson.decode(fields[i + 1]), now) then
    bans[#bans + 1] = fields[i + 1]
  end
end
return bans
