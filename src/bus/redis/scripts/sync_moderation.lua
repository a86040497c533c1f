-- Tell an instance what has been done in a room.
-- KEYS: moderation. ARGV: the last revision that the instance has heard, or nothing.
-- Returns the revision, the time, and if it is another one, each ban, kick and mute.
local revision, now = redis.call('HGET', KEYS[1], 'revision') or '0', redis_time()
local entries = {}
if revision ~= ARGV[1] then
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    if string.match(fields[i], '^ban:') or string.match(fields[i], '^mute:') then entries[#entries + 1] = fields[i + 1] end
  end
end
return {revision, whole_text(now), entries}
