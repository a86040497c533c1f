-- Put a name back on a room's roster, without a word.
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
