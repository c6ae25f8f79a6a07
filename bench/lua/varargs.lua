local function sum(...) local s = 0 for i = 1, select("#", ...) do s = s + (select(i, ...)) end return s end
local function pass(...) return ... end
local function pack(...) return {...} end
local n = 0
for i = 1, tonumber(arg and arg[1]) or 300000 do
  n = n + sum(i, 2, 3, 4) + #pack(pass(i, i, i)) + select("#", pass(1, nil, i))
  n = n + (unpack(pack(i, 2)))
end
print(n)
