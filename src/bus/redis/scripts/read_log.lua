-- Read entries of a log until they have some size, so that no reply holds up what comes behind it for
-- long, however large the entries are.
-- KEYS: log. ARGV: 1: from the newest to the oldest, else 0; the ids to begin and to end with; how many
-- entries at most, and about how many bytes.
-- Returns the entries.
local found, bytes, from = {}, 0, ARGV[2]
local most, size = tonumber(ARGV[4]), tonumber(ARGV[5])
while #found < most and bytes < size do
  -- A few at first; then as many as fit if they are like those before.
  local step = 4
  if bytes > 0 then step = math.ceil((size - bytes) * #found / bytes) end
  step = math.min(step, most - #found)
  local entries
  if ARGV[1] == '1' then
    entries = redis.call('XREVRANGE', KEYS[1], from, ARGV[3], 'COUNT', step)
  else
    entries = redis.call('XRANGE', KEYS[1], from, ARGV[3], 'COUNT', step)
  end
  for _, entry in ipairs(entries) do
    found[#found + 1] = entry
    bytes = bytes + #entry[2][2]
  end
  if #entries < step then break end
  local epoch, n = string.match(entries[step][1], '^(%d+)%-(%d+)$')
  if ARGV[1] == '1' and n == '0' then break end
  from = epoch .. '-' .. string.format('%.0f', ARGV[1] == '1' and n - 1 or n + 1)
end
return found
