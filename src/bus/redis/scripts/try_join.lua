-- Try what a join does, on the keys that every join uses: whether each has the right type and may be
-- written. Nothing is left behind. ARGV: the type of each key.
-- Returns what is wrong; nothing if all is well.
local function fails(...)
  local answer = redis.pcall(...)
  return type(answer) == 'table' and answer.err
end
for i, key in ipairs(KEYS) do
  local failed
  if ARGV[i] == 'hash' then
    failed = fails('HSET', key, '@', '') or fails('HDEL', key, '@')
  elseif ARGV[i] == 'set' then
    failed = fails('SADD', key, '@') or fails('SREM', key, '@')
  else
    failed = fails('GET', key)
  end
  if failed then return key .. ': ' .. failed end
end
return ''
