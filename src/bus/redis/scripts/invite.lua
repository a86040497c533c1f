-- Invite the instance of a user to a private conversation, and note the conversation for both its users. The
-- invitation is kept for a while, in case that instance is not listening at the moment. One that has come to
-- an instance without its user goes to all the others.
-- KEYS: owners, leases, the conversations of the user and of the other one. ARGV: the user, the other one, the
-- conversation, its last message, the most conversations of a user and how long they are noted, the instances'
-- channels and inboxes, the most invitations of an inbox and how long they are kept, the invitation, what was
-- returned lately, or nothing, the instance without the user, or nothing, and where it is noted who is away.
-- Returns a text whose first word is the instance, or '@' and the last message before those that wait if the
-- user is away, or '-' if too many conversations wait. Returns nothing if nobody has that name.
local room, last = ARGV[3], ARGV[4]
local owners = {redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[1], ARGV[2])}
local holders = {owners[1] and holder(owners[1]), owners[2] and holder(owners[2])}
local instances, found = {}, nil
if ARGV[13] == '' then
  found = owners[1] and string.match(owners[1], '^[^.]+')
  if found and redis.call('ZSCORE', KEYS[2], found) then
    instances[1] = found
  else
    local since, hash, lines = away(ARGV[14], ARGV[1])
    if not since then return false end
    holders[1] = hash
    local at = string.find(lines .. '\n', ' ' .. room .. '\n', 1, true)
    local mark = at and string.match(string.sub(lines, 1, at - 1), '[%d-]+$')
    if not mark then
      if #lines > 65536 then return '-' end
      mark = last
      local record = since .. ' ' .. hash .. lines .. '\n>' .. last .. ' ' .. room
      redis.call('SET', ARGV[14] .. ARGV[1], record, 'KEEPTTL')
    end
    found = '@' .. mark
  end
  found = found .. ' ' .. (holders[1] or '') .. ' ' .. (holders[2] or '')
  -- Redis may have gone back to before it was noted.
  local noted = redis.call('HGET', KEYS[3], room) and redis.call('HGET', KEYS[4], room)
  if noted and found == ARGV[12] then return found end
else
  for _, instance in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if instance ~= ARGV[13] then instances[#instances + 1] = instance end
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The conversations of an earlier holder of the name are not those of this one.
local function note(key, holder)
  if redis.call('HGET', key, '') ~= holder then
    redis.call('DEL', key)
    redis.call('HSET', key, '', holder)
  end
  local begun = string.match(redis.call('HGET', key, room) or '', ' (.*)$')
  if not begun and redis.call('HLEN', key) > tonumber(ARGV[5]) then
    local oldest, oldest_at
    local noted = redis.call('HGETALL', key)
    for i = 1, #noted, 2 do
      local at = tonumber(string.match(noted[i + 1], '^(%d+) '))
      if noted[i] ~= '' and at and at < (oldest_at or now) then oldest, oldest_at = noted[i], at end
    end
    if oldest then redis.call('HDEL', key, oldest) end
  end
  redis.call('HSET', key, room, string.format('%.0f', now) .. ' ' .. (begun or last))
  redis.call('EXPIRE', key, ARGV[6])
end

for i = 1, 2 do
  if holders[i] then note(KEYS[i + 2], holders[i]) end
end
local envelope = '{"natterjack":"conversation","at":' .. string.format('%.0f', now) .. ARGV[11]
for _, instance in ipairs(instances) do
  redis.call('XADD', ARGV[8] .. instance, 'MAXLEN', '~', ARGV[9], '*', 'message', envelope)
  redis.call('EXPIRE', ARGV[8] .. instance, ARGV[10])
  redis.call('PUBLISH', ARGV[7] .. instance, envelope)
end
return found
