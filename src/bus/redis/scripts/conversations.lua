-- The private conversations of a name's holder, or one of them: each with its last message before it became
-- theirs, when it was noted last, and how long ago that was, in milliseconds.
-- KEYS: owners, the conversations of the name. ARGV: the name, the conversation, or nothing.
local owner = redis.call('HGET', KEYS[1], ARGV[1])
if not owner or redis.call('HGET', KEYS[2], '') ~= holder(owner) then return {} end
local noted = redis.call('HGETALL', KEYS[2])
if ARGV[2] ~= '' then noted = {ARGV[2], redis.call('HGET', KEYS[2], ARGV[2]) or ''} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for i = 1, #noted, 2 do
  local at, begun = string.match(noted[i + 1], '^(%d+) (.*)$')
  if at then found[#found + 1] = {noted[i], begun, tonumber(at), math.max(now - at, 0)} end
end
return found
