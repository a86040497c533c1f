-- What a join says of a room's log: the last id, and the last id of each earlier epoch, if there is one.
local function log_position(counter)
  local last, ends = string.match(redis.call('GET', counter) or '', '^(%d+%-%d+) ?%S* ?%d* ?(.*)$')
  if not last then return '' end
  return ',"last":"' .. last .. (ends ~= '' and '","ends":"' .. ends or '') .. '"'
end
