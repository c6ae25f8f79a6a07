local V = {}
V.__index = V
V.__add = function(a, b) return setmetatable({x = a.x + b.x, y = a.y + b.y}, V) end
V.__mul = function(a, k) return setmetatable({x = a.x * k, y = a.y * k}, V) end
V.__eq = function(a, b) return a.x == b.x and a.y == b.y end
V.__lt = function(a, b) return a.x < b.x end
V.__len = function() return 2 end
local acc, d, n = setmetatable({x = 0, y = 0}, V), setmetatable({x = 1, y = 2}, V), 0
for i = 1, tonumber(arg and arg[1]) or 400000 do
  acc = acc + d * 0.5
  if d < acc then n = n + 1 end
  if acc == d then n = n - 1 end
end
local proxy = setmetatable({}, {__index = function(_, k) return k end, __newindex = function(_, _, v) n = n + v end})
for i = 1, 400000 do proxy.z = proxy[i] end
print(acc.x, acc.y, n)
