-- The messages that were taken back: a sorted set with a member for each, its id in digits that sort, a space, and
-- an envelope without the words.
local function digits(id)
  local epoch, n = string.match(id, '^(%d+)%-(%d+)$')
  return string.rep('0', 20 - #epoch) .. epoch .. '-' .. string.rep('0', 20 - #n) .. n
end

-- The id, in digits, from which on the log and its tombstones have all messages: the log's first entry, or the first
-- of the tombstones right before it. Older ones stand alone where the log was trimmed. Nothing if the log is empty.
local function whole_from(log, tombstones)
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if not first then return '' end
  local from = digits(first[1])
  for _, member in ipairs(redis.call('ZREVRANGEBYLEX', tombstones, '(' .. from, '-')) do
    local epoch, n = string.match(from, '^(%d+)%-(%d+)$')
    local before = string.match(member, '^[^ ]+')
    local before_epoch, before_n = string.match(before, '^(%d+)%-(%d+)$')
    local follows = before_epoch == epoch and before_n + 1 == n + 0 or before_epoch < epoch and n + 0 == 1
    if not follows then break end
    from = before
  end
  return from
end
