-- Read entries of a log until they have some size, so that no reply holds up what comes behind it for
-- long, however large the entries are: `most` entries at most, and about `size` bytes. `back`: from the
-- newest to the oldest.
local function read_portion(key, back, from, to, most, size)
  local found, bytes = {}, 0
  while #found < most and bytes < size do
    -- A few at first; then as many as fit if they are like those before.
    local step = 4
    if bytes > 0 then step = math.ceil((size - bytes) * #found / bytes) end
    step = math.min(step, most - #found)
    local entries
    if back then
      entries = redis.call('XREVRANGE', key, from, to, 'COUNT', step)
    else
      entries = redis.call('XRANGE', key, from, to, 'COUNT', step)
    end
    for _, entry in ipairs(entries) do
      found[#found + 1] = entry
      bytes = bytes + #entry[2][2]
    end
    if #entries < step then break end
    local epoch, n = string.match(entries[step][1], '^(%d+)%-(%d+)$')
    if back and n == '0' then break end
    from = epoch .. '-' .. string.format('%.0f', back and n - 1 or n + 1)
  end
  return found
end
