-- A trace calls a library function, that calls Lua, and there another trace is recorded, entered and left.
local log = {}
local function order(a, b)
  local s = 0
  for i = 1, 20 do s = s + (a * i) % 7 - (b * i) % 7 end
  if s ~= 0 then return s < 0 end
  return a < b
end
for round = 1, 120 do
  local t = {}
  for i = 1, 12 do t[i] = (i * round * 31) % 101 end
  table.sort(t, order)
  local text = string.gsub(table.concat(t, " "), "%d+", function(d)
    local n = 0
    for i = 1, 5 do n = n + tonumber(d) % i end
    if n > 6 then return "(" .. d .. ")" end
  end)
  if round % 10 == 0 then log[#log + 1] = text end
end
print(table.concat(log, "\n"))
