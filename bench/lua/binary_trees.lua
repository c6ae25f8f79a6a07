local function make(d) if d == 0 then return {} end return {make(d - 1), make(d - 1)} end
local function check(t) if t[1] then return 1 + check(t[1]) + check(t[2]) end return 1 end
local n = tonumber(arg and arg[1]) or 13
local long, total = make(n), 0
for d = 4, n, 4 do
  for i = 1, 2 ^ (n - d + 4) do total = total + check(make(d)) end
end
print(total, check(long))
