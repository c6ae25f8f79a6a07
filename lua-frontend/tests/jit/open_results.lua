-- An open call in a trace gives more results than when it was recorded: exits leave those alone that lie where dead
-- values were.
local function pick(n) return (n * 7919) % 97 end
local seen = {}
for round = 1, 60 do
  local chars = {}
  for i = 1, 3 + pick(round) do chars[i] = string.char(32 + (i * round) % 90) end
  local a, b, c, d, e = tostring(round), tostring(round + 1), tostring(round + 2), tostring(round + 3), tostring(round + 4)
  local mark = select("#", a, b, c, d, e, tostring(a), tostring(b), tostring(c))
  local text = table.concat(chars)
  local bytes = { string.dump(function() return text end, true) and text:byte(1, -1) }
  local all = { text:byte(1, -1) }
  for i = 1, #text do
    if all[i] ~= text:byte(i) then error("round " .. round .. " result " .. i) end
  end
  seen[#seen + 1] = #all + #bytes + mark
end
print(#seen, table.concat(seen, " "))
