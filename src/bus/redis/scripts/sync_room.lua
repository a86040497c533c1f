-- Tell an instance what it has missed of a room, and where the room stands.
-- KEYS: counter, log. ARGV: the last id that the instance has heard, or nothing; a number of its epoch and
-- the time of a message that has come under it, though another one was heard under it, or nothing twice; how
-- long the counter lives; how many messages are read at most, and about how many bytes.
-- Returns the last id, or nothing; the last id of each earlier epoch; the time; the first messages after the
-- last one that the instance and this log have in common.
local again = tonumber(ARGV[2])
if again and last_in_log() then
  -- A message that is not in the log is forged.
  local id = string.match(ARGV[1], '^%d+') .. '-' .. ARGV[2]
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
  local here = entry and string.find(entry[2][2], '"id":"' .. id .. '","at":' .. ARGV[3] .. ',', 1, true)
  if not here then again = nil end
end
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
return {format(epoch, n), ends, now, read_portion(KEYS[2], false, after, '+', tonumber(ARGV[5]), tonumber(ARGV[6]))}
