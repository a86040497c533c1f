-- Whose a name is, online and away.

-- Who has a name: the hash of the session key or token or, where there is none, the connection.
local function holder(owner)
  local origin, hash = string.match(owner, '^([^ ]+) ?([^ ]*)')
  return hash ~= '' and hash or origin
end

-- Names whose holders are away for a while: each is theirs until its record ends. A record has the time since
-- when they are away and the hash of their session key or token. A line each says how far they have heard a
-- private conversation. With '>' it says where one stood when the first message came that waits for them.
-- Returns since when the holder of a name is away, the hash, and the lines.
local function away(prefix, name)
  return string.match(redis.call('GET', prefix .. name) or '', '^(%d+) ([^\n]+)(.*)')
end

-- Notes that the holder of a name is away. A record that is still there is of somebody who was cut off before
-- all that waited was sent.
local function note_away(prefix, name, owner, since, life, lines)
  local hash = string.match(owner, '^[^ ]+ ?([^ ]*)')
  if hash == '' then return end
  local before, of, still = away(prefix, name)
  if of == hash then since, lines = before, still else since = string.format('%.0f', since) end
  -- Nobody else is given the name of a guest.
  if string.sub(name, 1, 6) == 'guest-' then life = math.min(life, 60000) end
  redis.call('SET', prefix .. name, since .. ' ' .. hash .. lines, 'PX', life)
end
