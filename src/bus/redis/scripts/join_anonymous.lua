-- Tell the instances that a peer without a name hears a room from here on, which lets the peer in. The id
-- of the room's last message goes along. KEYS: counter, moderation. Whose address is banned is not let in.
-- Returns 1; or for how long and why the peer is banned.
local banned = refused(KEYS[2], '', {ARGV[5], ARGV[6], ARGV[7], ARGV[8]})
if banned then return banned end
tell(ARGV[1], ARGV[2], ARGV[3], '{"natterjack":"joined quietly"' .. revision_now(KEYS[2]) .. log_position(KEYS[1]) .. ARGV[4])
return 1
