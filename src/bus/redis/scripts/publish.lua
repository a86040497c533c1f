-- Number messages of one room, write them to the log and publish them, all in one step. Two things keep
-- a message from being published twice: the reference that its client may have given it, and the number
-- that its instance has given it.
-- What is heard is never refused, and a refused number is given to no other message that is heard. So the
-- counter is written first, and each message is published last.
-- KEYS: counter, log, the instance's last number; if there are references, the references and the older
-- ones. ARGV: the room's channels and whether other programs listen elsewhere, how many messages the log
-- keeps, how long the log lives, how long number and references do, the number of the instance's message
-- before these if it may still be on its way, or 0, the last id that the instance has heard, and the last id
-- before the messages that wait for somebody who is away, or nothing; then for each message its number, its
-- reference or nothing, and its body.
-- Returns an id for each message; an empty one for a repeated message without a reference that was not the
-- instance's last one in this room; an error for a message that is refused; 'full' for one that would push out
-- of the log what waits. Returns 0 and does nothing if
-- the message before these has not come.
local seen, last = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) (.*)$')
seen = tonumber(seen) or 0
if tonumber(ARGV[10]) > seen and tonumber(ARGV[7]) > seen then return 0 end
local written_epoch, written, referred, moved

local function save(number)
  written_epoch, written = epoch, number
  -- It is enough to renew the lives of counter and log when the node is looked at.
  if checked ~= now then return 'SET', KEYS[1], counter(number), 'KEEPTTL' end
  return 'SET', KEYS[1], counter(number), 'EX', ARGV[5]
end

-- How many messages of this room have come after one.
local function count_after(id)
  local from_epoch, from_n = parse(id)
  local count = 0
  for last in string.gmatch(ends .. ' ' .. format(epoch, n), '%S+') do
    local last_epoch, last_n = parse(last)
    if last_epoch > from_epoch then count = count + last_n end
    if last_epoch == from_epoch then count = math.max(last_n - from_n, 0) end
  end
  return count
end

local function add(body)
  local id = whole(epoch) .. '-' .. string.format('%.0f', n + 1)
  local message = '{"natterjack":"said","id":"' .. id .. '","at":' .. whole(now) .. body
  if ARGV[4] == '0' then return id, message end
  return id, message, redis.pcall('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], id, 'message', message)
end

-- `left`: how many messages of this call there may be, with this one.
local function write(body, left)
  if not written then
    check_epoch(ARGV[8])
    if not epoch then begin() end
  end
  if ARGV[9] ~= '' and count_after(ARGV[9]) >= tonumber(ARGV[4]) then return nil, 'full' end
  -- Refused here, nothing has happened.
  if not written then redis.call(save(n + left)) end
  local id, message, added = add(body)
  if type(added) == 'table' and added.err and string.find(added.err, 'equal or smaller', 1, true) then
    -- The log has more than the counter knows, because somebody has changed one of them: go on behind both.
    local log_epoch, log_n = last_in_log()
    if not log_epoch then
      -- Nothing is in it but its last id.
      redis.pcall('DEL', KEYS[2])
    elseif log_epoch > epoch or log_epoch == epoch and log_n > n then
      epoch, n = log_epoch, log_n
    end
    begin()
    redis.pcall(save(n + left))
    id, message, added = add(body)
  end
  if type(added) == 'table' and added.err then return nil, added end
  local told, failure = pcall(tell, ARGV[1], ARGV[2], ARGV[3], message)
  if not told then
    -- The log takes no number twice, and has no hole.
    if added then redis.pcall('XDEL', KEYS[2], id) end
    if n > 0 then begin() else epoch = math.max(now, epoch + 1) end
    return nil, type(failure) == 'table' and failure or {err = failure}
  end
  n = n + 1
  return id
end

local answers = {}
for i = 10, #ARGV, 3 do
  local number, ref, body = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  local id = ref ~= '' and (redis.call('HGET', KEYS[4], ref) or redis.call('HGET', KEYS[5], ref))
  local refused
  if not id then
    if number > seen then
      id, refused = write(body, (#ARGV - i + 1) / 3)
    else
      id = number == seen and last or ''
    end
    if ref ~= '' and id and id ~= '' then
      referred = true
      redis.pcall('HSET', KEYS[4], ref, id)
    end
  end
  if id and number > seen then seen, last, moved = number, id, ARGV[i] end
  answers[#answers + 1] = id or refused
end
if written then
  if written ~= n or written_epoch ~= epoch then redis.pcall(save(n)) end
  if checked == now then redis.pcall('EXPIRE', KEYS[2], ARGV[5]) end
end
if moved then
  redis.pcall('SET', KEYS[3], moved .. ' ' .. last, 'EX', ARGV[6])
end
if referred then
  -- A reference is known for at least its life, and at most twice as long.
  local left = redis.pcall('TTL', KEYS[4])
  if left == -1 then
    redis.pcall('EXPIRE', KEYS[4], 2 * ARGV[6])
  elseif type(left) == 'number' and left < tonumber(ARGV[6]) then
    redis.pcall('RENAME', KEYS[4], KEYS[5])
  end
end
return answers
