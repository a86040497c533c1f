-- How each script begins that numbers a room's messages, or reads them: check_epoch() and begin() are those
-- of tests/model/src/numbers/redis.rs. A number is never given to two messages, also when Redis has lost its
-- last data: then a new epoch begins, which knows where the one before it ended.
-- KEYS[1]: the counter, 'EPOCH-N NODE CHECKED ENDS': the last id, the node that gave it ('-': unknown), when
-- the node was last looked at, and the last id of each earlier epoch. KEYS[2]: the log.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch, n, node, checked, ends

-- The texts of numbers: it takes long to format one.
local texts = {}
local function whole(number)
  local text = texts[number] or string.format('%.0f', number)
  texts[number] = text
  return text
end

local function format(epoch, n)
  return whole(epoch) .. '-' .. whole(n)
end

local function parse(id)
  local epoch, n = string.match(id or '', '^(%d+)%-(%d+)$')
  return tonumber(epoch), tonumber(n)
end

-- The node that runs this script: another one after each restart and each promotion of a replica.
local function this_node()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x%x%x%x%x%x%x%x)') or '-'
end

-- The last message that the log has.
local function last_in_log()
  local entry = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  return parse(entry and entry[1])
end

-- Begins an epoch above `heard`, if given. The last sixteen ends are kept.
local function begin(heard)
  if epoch then
    ends = string.gsub(ends .. ' ' .. format(epoch, n), '^ ', '')
    local _, count = string.gsub(ends, '%S+', '')
    if count > 16 then ends = string.match(ends, ' (.*)') end
  end
  epoch, n = math.max(now, (epoch or 0) + 1, (heard or 0) + 1), 0
end

-- Reads the counter, and begins an epoch if the counter can't be trusted: it is another node's, or the caller
-- has `heard` more, or has heard another message under the number `again`. A room of which nothing is known
-- has no epoch after that.
-- Returns whether an epoch has begun.
local function check_epoch(heard, again)
  local heard_epoch, heard_n = parse(heard)
  local epoch_text, n_text, checked_text
  epoch_text, n_text, node, checked_text, ends =
    string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)%-(%d+) ?(%S*) ?(%d*) ?(.*)$')
  epoch, n, checked = tonumber(epoch_text), tonumber(n_text), tonumber(checked_text)
  if not epoch then
    -- A log without its counter goes on behind the log.
    epoch, n = last_in_log()
    node, checked, ends = this_node(), now, ''
    local known = epoch or heard_epoch
    if known then begin(heard_epoch) end
    return known
  end
  texts[epoch] = epoch_text
  if checked then texts[checked] = checked_text end
  local begins = heard_epoch and (heard_epoch > epoch or heard_epoch == epoch and heard_n > n)
  again = again and heard_epoch and again - 1
  if again and heard_epoch == epoch then begins = true end
  if not checked or math.abs(now - checked) >= 50 then
    local here = this_node()
    if here ~= '-' then
      if node ~= here and node ~= '' and node ~= '-' then begins = true end
      node = here
    end
    if node == '' then node = '-' end
    checked = now
  end
  if begins then begin(heard_epoch) end
  if again then
    ends = string.gsub(ends, '(%d+)%-(%d+)', function(end_epoch, end_n)
      if tonumber(end_epoch) == heard_epoch and tonumber(end_n) > again then
        return format(heard_epoch, again)
      end
    end)
  end
  return begins
end

-- The counter as it is kept, with the number `last`.
local function counter(last)
  local text = format(epoch, last) .. ' ' .. node .. ' ' .. whole(checked)
  return ends == '' and text or text .. ' ' .. ends
end
