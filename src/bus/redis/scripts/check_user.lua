-- Look whether a user may enter a room and speak there.
-- KEYS: moderation. ARGV: the user's name.
-- Returns the ban, or 'muted', or nothing.
local now = redis_time()
local entry = in_force(KEYS[1], 'ban:' .. ARGV[1], now)
if entry then return told_of(entry, now) end
return {in_force(KEYS[1], 'mute:' .. ARGV[1], now) and 'muted' or ''}
