-- Put a name on a room's roster. A small room that does not know the name yet is told of the join. In
-- all other cases only the instances are told, which let the peer in by it. The id of the room's last
-- message goes along. In the roster a ~ after the connection marks a name of which the room was not
-- told. If the name was there in another spelling, the room is told that the other spelling has left.
-- KEYS: roster, counter, sums, moderation. Who is banned is not let in.
-- Returns how many are in the room; or for how long and why the peer is banned.
local banned = refused(KEYS[4], ARGV[1], {ARGV[8], ARGV[9], ARGV[10], ARGV[11]})
if banned then return banned end
clear_if_empty(KEYS[1], KEYS[3])
local entry = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local owner, quiet, shown = string.match(entry, '^([^ ~]+)(~?) ?(.*)$')
local origin, written = string.match(ARGV[2], '^([^ ]+)(.*)$')
local known = owner and quiet == ''
if known and shown ~= string.sub(written, 2) then
  local left = cjson.encode(shown ~= '' and shown or ARGV[1])
  tell(ARGV[3], ARGV[4], ARGV[5], '{"natterjack":"left","from":"' .. owner .. '","user":' .. left .. '}')
  known = false
end
local count = redis.call('HLEN', KEYS[1]) + (owner and 0 or 1)
local announced = not known and count <= tonumber(ARGV[7])
if owner ~= origin then
  if owner then change_sum(KEYS[3], ARGV[1], owner, -1) end
  change_sum(KEYS[3], ARGV[1], origin, 1)
end
redis.call('HSET', KEYS[1], ARGV[1], origin .. ((known or announced) and '' or '~') .. written)
local envelope = announced and '{"natterjack":"joined"' or '{"natterjack":"joined quietly"'
tell(ARGV[3], ARGV[4], ARGV[5], envelope .. revision_now(KEYS[4]) .. log_position(KEYS[2]) .. ARGV[6])
return count
