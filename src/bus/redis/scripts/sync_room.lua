-- Tell an instance what it has missed of a room, and where the room stands.
-- KEYS: counter, log. ARGV: the last id that the instance has heard, or nothing; its time, or 0 if that is
-- unknown; a number of its epoch under which another message has come, or nothing; how long the counter
-- lives; how many messages are read at most, and about how many bytes.
-- Returns the last id, or nothing; the last id of each earlier epoch; the time; the first messages after the
-- last one that the instance and this log have in common.

-- The first of the numbers that the instance has heard under which the log has later messages than it has heard.
local function given_again(heard, heard_at)
  local found
  local heard_epoch, from = parse(heard)
  while heard_at > 0 and from and from > 0 do
    local entries = redis.call('XREVRANGE', KEYS[2], format(heard_epoch, from), '-', 'COUNT', found and 100 or 1)
    for _, entry in ipairs(entries) do
      local entry_epoch, entry_n = parse(entry[1])
      local at = string.match(entry[2][2], '^{"natterjack":"said","id":"[^"]*","at":(%d+)')
      if entry_epoch ~= heard_epoch or (tonumber(at) or 0) <= heard_at then return found end
      found, from = entry_n, entry_n - 1
    end
    if #entries == 0 then break end
  end
  return found
end

-- What only the channel says may be forged. Without a log there is nothing else.
local again = tonumber(ARGV[3])
if last_in_log() then again = given_again(ARGV[1], tonumber(ARGV[2])) end
if check_epoch(ARGV[1], again) then
  -- Where nothing can be written now, the next message begins the epoch.
  redis.pcall('SET', KEYS[1], counter(n), 'EX', ARGV[4])
end
if not epoch then return {'', '', now, {}} end
local heard_epoch, heard_n = parse(ARGV[1])
local after_epoch, after_n = 0, 0
for id in string.gmatch(ends .. ' ' .. format(epoch, n), '%S+') do
  local end_epoch, end_n = parse(id)
  if heard_epoch and end_epoch <= heard_epoch then
    after_epoch, after_n = end_epoch, end_n
    if end_epoch == heard_epoch then after_n = math.min(heard_n, end_n) end
  end
end
local after = format(after_epoch, after_n + 1)
local messages = read_portion(KEYS[2], false, after, '+', tonumber(ARGV[5]), tonumber(ARGV[6]))
return {format(epoch, n), ends, now, messages}
