-- Take a message back: a tombstone without its words takes its place, and those who heard it are told.
-- KEYS: log, tombstones, moderation. ARGV: the room's channels; the message's id; how the name of the user is shown
-- who takes it back, and whose messages are the user's own; whether the user is a moderator; how long logs live, in
-- seconds; how old one's own message may be, in milliseconds.
-- Returns what is wrong; nothing if it is done.
local log, tombstones, id = KEYS[1], KEYS[2], ARGV[4]
local logged = redis.call('XRANGE', log, id, id)[1]
if not logged then return 'none' end
local said, now = cjson.decode(logged[2][2]), redis_time()
if ARGV[7] ~= '1' then
  if said.author ~= ARGV[6] then return 'foreign' end
  if now - said.at > tonumber(ARGV[9]) then return 'old' end
end
local revisions, revision = next_revision(KEYS[3], now)
keep(KEYS[3], tonumber(ARGV[8]))
local envelope = '{"natterjack":"deleted"' .. revisions .. ',"id":"' .. id .. '","at":' .. whole_text(said.at)
  .. ',"user":' .. cjson.encode(said.user) .. ',"by":' .. cjson.encode(ARGV[5])
redis.call('ZADD', tombstones, 0, digits(id) .. ' ' .. envelope .. '}')
redis.call('XDEL', log, id)
redis.call('EXPIRE', tombstones, ARGV[8])
redis.call('ZREMRANGEBYLEX', tombstones, '-', '(' .. whole_from(log, tombstones))
-- One character more than is shown.
local start, count = {}, 0
for character in string.gmatch(said.text, '[^\128-\191][\128-\191]*') do
  count = count + 1
  start[count] = character
  if count > 40 then break end
end
tell(ARGV[1], ARGV[2], ARGV[3], envelope .. ',"start":' .. cjson.encode(table.concat(start)) .. '}')
return ''
