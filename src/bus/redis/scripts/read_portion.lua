-- Read entries of a log until they have some size, so that no reply holds up what comes behind it for
-- long, however large the entries are: `most` entries at most, and about `size` bytes. `back`: from the
-- newest to the oldest. Returns them, and whether there are no more.
local function read_portion(key, back, from, to, most, size)
  local found, bytes, ended = {}, 0, false
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
    local epoch, n = string.match(#entries == step and entries[step][1] or '', '^(%d+)%-(%d+)$')
    ended = not epoch
    if ended then break end
    if back and n == '0' then
      from = string.format('%.0f', epoch - 1) .. '-18446744073709551615'
    else
      from = epoch .. '-' .. string.format('%.0f', back and n - 1 or n + 1)
    end
  end
  return found, ended
end
