-- Number messages of one room, write them to the log and publish them, all in one step. Two things keep
-- a message from being published twice: the reference that its client may have given it, and the number
-- that its instance has given it.
-- KEYS: counter, log, the instance's last number, the references. ARGV: the room's
-- channels and whether other programs listen elsewhere, how many messages the log keeps, how long the log
-- lives, how long number and references do, the number of the instance's message before these if it may
-- still be on its way, or 0; then for each message its number, the place of its reference in KEYS or 0,
-- and its body.
-- Returns the ids; an empty one for a repeated message without a reference that was not the instance's
-- last one in this room. Returns 0 and does nothing if the message before these has not come.
local tell = teller(ARGV[1], ARGV[2], ARGV[3])
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local epoch, n = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)%-(%d+)$')
local seen, last = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) (.*)$')
seen = tonumber(seen) or 0
if tonumber(ARGV[8]) > seen and tonumber(ARGV[7]) > seen then return 0 end

local function begin()
  redis.call('DEL', KEYS[2])
  epoch, n = now, 0
end

local function write(body)
  n = string.format('%.0f', n + 1)
  local id = epoch .. '-' .. n
  local message = '{"natterjack":"said","id":"' .. id .. '","at":' .. now .. body
  if ARGV[4] ~= '0' then
    local written = redis.pcall('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], id, 'message', message)
    if type(written) == 'table' then return nil, written end
  end
  tell(message)
  return id
end

local ids, fresh, moved = {}, false, false
for i = 8, #ARGV, 3 do
  local number, ref, body = tonumber(ARGV[i]), KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2]
  local id = ref and redis.call('GET', ref)
  if not id then
    if number > seen then
      if not epoch then begin() end
      local failed
      id, failed = write(body)
      if failed then
        -- The log does not fit the counter: begin a new one.
        if not fresh and string.find(failed.err, 'OOM', 1, true) then return failed end
        begin()
        id = write(body)
      end
      fresh = true
    elseif number == seen then
      id = last
    else
      id = ''
    end
    if ref and id ~= '' then redis.call('SET', ref, id, 'EX', ARGV[6]) end
  end
  if number > seen then seen, last, moved = number, id, true end
  ids[#ids + 1] = id
end
if fresh then
  redis.call('EXPIRE', KEYS[2], ARGV[5])
  redis.call('SET', KEYS[1], epoch .. '-' .. n, 'EX', ARGV[5])
end
if moved then
  -- Where only this fails, all is known already.
  redis.pcall('SET', KEYS[3], string.format('%.0f', seen) .. ' ' .. last, 'EX', ARGV[6])
end
return ids
