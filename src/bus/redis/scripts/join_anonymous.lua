-- Tell the instances that a peer without a name hears a room from here on, which lets the peer in. The id
-- of the room's last message goes along.
tell(ARGV[1], ARGV[2], ARGV[3], '{"natterjack":"joined quietly"' .. log_position(KEYS[1]) .. ARGV[4])
return 1
