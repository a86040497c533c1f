-- Remove some of a dead instance's names, if its lease still has the given value. The instance is told:
-- if it is alive, it registers its names again.
-- Returns where to go on; '0' at the end.
if (redis.call('ZSCORE', KEYS[3], ARGV[1]) or '') ~= ARGV[5] then return '0' end
local page = redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', 1000)
local time = redis.call('TIME')
local since = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[7]
local expired = 0
for i = 1, #page[2], 2 do
  local name, owner = page[2][i], page[2][i + 1]
  if string.match(owner, '^[^.]+') == ARGV[1] then
    note_away(ARGV[6], name, owner, since, tonumber(ARGV[8]), '')
    redis.call('HDEL', KEYS[2], name)
    local shown = string.match(owner, '^[^ ]+ [^ ]* (.+)$')
    redis.call('SREM', KEYS[1], shown or name)
    expired = expired + 1
  end
end
if page[1] == '0' then redis.call('HDEL', KEYS[4], ARGV[1]) end
if expired > 0 then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return page[1]
