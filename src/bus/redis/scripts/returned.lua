-- The holder of a name, who was away, has been sent all that waited: forget the record of that. If the name has another
-- connection meanwhile, or none, the record is kept for the next one.
-- KEYS: owners, the record. ARGV: the name's key, the connection.
local owner = redis.call('HGET', KEYS[1], ARGV[1])
if owner and string.match(owner, '^[^ ]+') == ARGV[2] then redis.call('DEL', KEYS[2]) end
return 1
