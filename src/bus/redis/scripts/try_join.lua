-- Try what a join does on keys that every join uses: whether they are what they should be, and may
-- be written. Nothing stays of it: no name is like this one. ARGV: what each key holds.
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
