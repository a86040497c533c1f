-- Ban the address of a user who is banned.
-- KEYS: moderation. ARGV: the user's name, the address, how many addresses of a user are kept.
local entry = in_force(KEYS[1], 'ban:' .. ARGV[1], redis_time())
if entry then note_address(KEYS[1], ARGV[1], entry, ARGV[2], ARGV[3]) end
return entry and 1 or 0
