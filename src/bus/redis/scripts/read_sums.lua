-- Read the sums of all instances over their entries.
clear_if_empty(KEYS[1], KEYS[2])
return redis.call('HGETALL', KEYS[2])
