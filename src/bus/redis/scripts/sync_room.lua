-- Tell an instance what it has missed of a room, and where the room stands.
-- KEYS: counter, log. ARGV: the last id that the instance has heard, or nothing; a number of its epoch
-- under which it has heard another message, or nothing; how long the counter lives; how many messages are
-- read at most, and about how many bytes.
-- Returns the last id, or nothing; the last id of each earlier epoch; the time; the first messages after the
-- last one that the instance and this log have in common.
if check_epoch(ARGV[1], tonumber(ARGV[2])) then
  -- Where nothing can be written now, the next message begins the epoch.
  redis.pcall('SET', KEYS[1], counter(n), 'EX', ARGV[3])
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
return {format(epoch, n), ends, now, read_portion(KEYS[2], false, after, '+', tonumber(ARGV[4]), tonumber(ARGV[5]))}
