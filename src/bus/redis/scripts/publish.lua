-- Number messages of one room, write them to the log, publish them: all in one go, since much of the
-- work is the same for one and for many. A client may have named its message, and the instance
-- numbers its messages: one that has been published before is not published again.
-- KEYS: counter, log, the instance's last number, the names. ARGV: channel, how many the log keeps, how
-- long log, number and names live; then for each message its number, the place of its name in
-- KEYS or 0, and its words.
-- Returns their ids; an empty one for a repeated message without a name that was not the instance's
-- last in this room.
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local epoch, n = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)%-(%d+)$')
local seen, last = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) (.*)$')
seen = tonumber(seen) or 0

local function begin()
  redis.call('DEL', KEYS[2])
  epoch, n = now, 0
end

local function write(words)
  n = string.format('%.0f', n + 1)
  local id = epoch .. '-' .. n
  local message = '{"natterjack":"said","id":"' .. id .. '","at":' .. now .. words
  if ARGV[2] ~= '0' then
    local written = redis.pcall('XADD', KEYS[2], 'MAXLEN', '=', ARGV[2], id, 'message', message)
    if type(written) == 'table' then return nil, written end
  end
  redis.call('PUBLISH', ARGV[1], message)
  return id
end

-- Its name has been forgotten in a long outage, but the log still knows its words.
local function find(words)
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-')) do
    if string.sub(entry[2][2], -#words) == words then return entry[1] end
  end
  return ''
end

local ids, fresh = {}, false
for i = 6, #ARGV, 3 do
  local number, name, words = tonumber(ARGV[i]), KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2]
  local id = name and redis.call('GET', name)
  if not id then
    if number > seen then
      if not epoch then begin() end
      local failed
      id, failed = write(words)
      if failed then
        -- The log is not what the counter says. A new one is.
        if not fresh and string.find(failed.err, 'OOM', 1, true) then return failed end
        begin()
        id = write(words)
      end
      seen, last, fresh = number, id, true
    elseif number == seen then
      id = last
    else
      id = name and find(words) or ''
    end
    if name and id ~= '' then redis.call('SET', name, id, 'EX', ARGV[5]) end
  end
  ids[#ids + 1] = id
end
if fresh then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  redis.call('SET', KEYS[1], epoch .. '-' .. n, 'EX', ARGV[3])
  redis.call('SET', KEYS[3], string.format('%.0f', seen) .. ' ' .. last, 'EX', ARGV[4])
end
return ids
