-- What a room's moderators have done, in one hash: 'ban:NAME' (a kick, too) and 'mute:NAME' with a JSON object of
-- user, by, action, seconds, until (in milliseconds; none: for ever), reason, revision and addresses;
-- 'address:ADDRESS' with the name of a banned user who comes from there; 'moderator:NAME'; and 'revision', which
-- rises with everything that is done or taken back in the room. The hash expires with the last thing in it.
local FOREVER = 1000000000

local function redis_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole_text(number)
  return string.format('%.0f', number)
end

-- Keeps the hash for at least so many seconds more.
local function keep(key, seconds)
  if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, whole_text(seconds)) end
end

local function holds(entry, now)
  return not entry['until'] or entry['until'] > now
end

-- What holds by this field; nothing if it is over.
local function in_force(key, field, now)
  local json = redis.call('HGET', key, field)
  local entry = json and cjson.decode(json)
  if entry and holds(entry, now) then return entry end
end

local function forget(key, field)
  local json = redis.call('HGET', key, field)
  if not json then return end
  local name = string.match(field, ':(.*)$')
  for _, address in ipairs(cjson.decode(json).addresses or {}) do
    -- Another banned user may have it, too.
    if redis.call('HGET', key, 'address:' .. address) == name then redis.call('HDEL', key, 'address:' .. address) end
  end
  redis.call('HDEL', key, field)
end

-- Notes where a banned user comes from. The last few addresses of a user are kept.
local function note_address(key, name, entry, address, most)
  local addresses = entry.addresses or {}
  for _, known in ipairs(addresses) do
    if known == address then return end
  end
  if #addresses >= tonumber(most) then
    redis.call('HDEL', key, 'address:' .. table.remove(addresses, 1))
  end
  addresses[#addresses + 1] = address
  entry.addresses = addresses
  redis.call('HSET', key, 'ban:' .. name, cjson.encode(entry))
  redis.call('HSET', key, 'address:' .. address, name)
end

local function note_moderator(key, name, life)
  redis.call('HSET', key, 'moderator:' .. name, 1)
  keep(key, tonumber(life))
end

-- What somebody is told who is banned: for how many seconds, or nothing, and why.
local function told_of(entry, now)
  local left = entry['until'] and whole_text(math.ceil((entry['until'] - now) / 1000)) or ''
  return {'banned', left, entry.reason}
end

-- Whether a visitor may not enter, and why; nothing if it may. `visitor`: the address, if it can be banned by that,
-- whether it is a moderator, how long a moderator is remembered, and how many addresses of a user.
local function refused(key, name, visitor)
  local address, moderator, life, most = visitor[1], visitor[2], visitor[3], visitor[4]
  if moderator == '1' then
    if name ~= '' then note_moderator(key, name, life) end
    return
  end
  if redis.call('HLEN', key) == 0 then return end
  local now, entry = redis_time(), nil
  if name ~= '' then
    redis.call('HDEL', key, 'moderator:' .. name)
    entry = in_force(key, 'ban:' .. name, now)
    if entry and address ~= '' then note_address(key, name, entry, address, most) end
  end
  if not entry and address ~= '' then
    local other = redis.call('HGET', key, 'address:' .. address)
    entry = other and in_force(key, 'ban:' .. other, now)
  end
  return entry and told_of(entry, now)
end

-- The revision, for an envelope.
local function revision_now(key)
  return ',"revision":' .. (redis.call('HGET', key, 'revision') or '0')
end

-- Counts something that is done. Returns its revision and the one before, for an envelope, and the revision.
local function next_revision(key, now)
  local before = redis.call('HGET', key, 'revision') or '0'
  local revision = math.max(now, before + 1)
  redis.call('HSET', key, 'revision', whole_text(revision))
  return ',"revision":' .. whole_text(revision) .. ',"before":' .. before, revision
end
