-- Do something to a user of a room, as a moderator, and tell the room.
-- KEYS: moderation. ARGV: the room's channels; the action; the user's name and how it is shown; the same of the
-- moderator; for how many seconds, or nothing; the reason; how long a moderator is remembered; how many people may be
-- banned or muted.
-- Returns what is wrong; nothing if it is done.
local key, action, name = KEYS[1], ARGV[4], ARGV[5]
local seconds, now = tonumber(ARGV[9]), redis_time()

-- Whether there is no place for one more. What is over is forgotten.
local function full()
  if redis.call('HLEN', key) < tonumber(ARGV[12]) then return false end
  local fields, count = redis.call('HGETALL', key), 0
  for i = 1, #fields, 2 do
    if string.match(fields[i], '^ban:') or string.match(fields[i], '^mute:') then
      if holds(cjson.decode(fields[i + 1]), now) then count = count + 1 else forget(key, fields[i]) end
    end
  end
  return count >= tonumber(ARGV[12])
end

note_moderator(key, ARGV[7], ARGV[11])
if action ~= 'unban' and redis.call('HGET', key, 'moderator:' .. name) then return 'moderator' end
local field = (action == 'mute' and 'mute:' or 'ban:') .. name
local before = in_force(key, field, now)
if action == 'unban' and not before then return 'not banned' end
local ends = action == 'unban' or action == 'mute' and seconds == 0
if not before and not ends and full() then return 'full' end

local revisions, revision = next_revision(key, now)
local entry = {action = action, user = ARGV[6], by = ARGV[8], seconds = seconds, reason = ARGV[10]}
local envelope = '{"natterjack":"moderation"' .. revisions .. ',' .. string.sub(cjson.encode(entry), 2)
-- A kick does not end a ban.
if ends or not (action == 'kick' and before and not before['until']) then
  forget(key, field)
  if not ends then
    entry.revision = revision
    if seconds then entry['until'] = now + seconds * 1000 end
    redis.call('HSET', key, field, cjson.encode(entry))
    for _, address in ipairs(before and before.addresses or {}) do
      note_address(key, name, entry, address, math.huge)
    end
    keep(key, math.max(tonumber(ARGV[11]), seconds or FOREVER))
  end
end
tell(ARGV[1], ARGV[2], ARGV[3], envelope)
return ''
