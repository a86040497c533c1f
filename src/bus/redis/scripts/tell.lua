-- How scripts tell a room something. The instances are told by an envelope. If another program listens to
-- the room's plain channel, it gets a line, as the tutorial's server publishes it, and the envelope is
-- marked: each instance hears that line, too, and must not take it for another program's.
-- Every instance is subscribed to both channels. So another program listens if the plain one has more
-- subscribers here, or if the instance has found it on another node (`ways` has 'elsewhere').
-- In a cluster with sharded PUBSUB (`ways` has 'sharded'), envelopes stay on this node. While the slot moves
-- here, nobody can be subscribed to it here yet; then they go to all nodes.
local publish, heard

local function tell(plain, envelopes, ways, envelope)
  if not publish then
    publish = 'PUBLISH'
    if string.find(ways, 'sharded', 1, true) then
      local here = redis.pcall('PUBSUB', 'SHARDNUMSUB', envelopes)[2]
      if here and here > 0 then publish = 'SPUBLISH' end
    end
    local counts = redis.pcall('PUBSUB', 'NUMSUB', plain, envelopes)
    heard = string.find(ways, 'elsewhere', 1, true) or (counts[4] and counts[2] > counts[4])
  end
  local line
  if heard then
    local said = cjson.decode(envelope)
    if said.natterjack == 'said' then
      -- Two spaces, which begin no name, or else a second line could look like another user's message.
      line = said.user .. ': ' .. string.gsub(said.text, '\r?\n', '\n  ')
    elseif said.natterjack == 'joined' then
      line = said.user .. ': has joined the chat!'
    elseif said.natterjack == 'left' then
      line = said.user .. ': has left the chat!'
    end
  end
  if line then envelope = string.sub(envelope, 1, -2) .. ',"plain":true}' end
  redis.call(publish, envelopes, envelope)
  -- What the instances have heard is said.
  if line then redis.pcall('PUBLISH', plain, line) end
end

