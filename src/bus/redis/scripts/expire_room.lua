-- Remove a dead instance's names from a room's roster and tell the room of each, once. The instance is
-- told, too: if it is alive, it registers its names again.
-- Returns how many there were.
local entries = redis.call('HGETALL', KEYS[1])
local count, expired = #entries / 2, 0
for i = 1, #entries, 2 do
  local name = entries[i]
  local origin, quiet, shown = string.match(entries[i + 1], '^([^ ~]+)(~?) ?(.*)$')
  if string.match(origin, '^[^.]+') == ARGV[1] then
    redis.call('HDEL', KEYS[1], name)
    if count <= tonumber(ARGV[5]) or quiet == '' then
      local left = '{"natterjack":"left","from":"' .. origin .. '","user":' .. cjson.encode(shown ~= '' and shown or name) .. '}'
      tell(ARGV[2], ARGV[3], ARGV[4], left)
    end
    count, expired = count - 1, expired + 1
  end
end
redis.call('HDEL', KEYS[2], ARGV[1])
if expired > 0 then redis.call('PUBLISH', ARGV[6], ARGV[7]) end
return expired
