-- Read a portion of a log.
-- KEYS: log. ARGV: 1: from the newest to the oldest, else 0; the ids to begin and to end with; how many
-- entries at most, and about how many bytes.
-- Returns the entries, and `end` after them if there are no more.
local found, ended = read_portion(KEYS[1], ARGV[1] == '1', ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))
if ended then found[#found + 1] = 'end' end
return found
