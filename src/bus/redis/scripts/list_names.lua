-- List some of the names that an instance holds.
-- Returns where to go on, '0' at the end; then the names and their owners.
local page = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', 1000)
local own = {}
for i = 1, #page[2], 2 do
  if string.match(page[2][i + 1], '^[^.]+') == ARGV[1] then
    own[#own + 1] = page[2][i]
    own[#own + 1] = page[2][i + 1]
  end
end
return {page[1], own}
