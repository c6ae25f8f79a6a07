local function A(i, j) local ij = i + j - 1 return 1 / (ij * (ij - 1) * 0.5 + i) end
local function Av(x, y, n) for i = 1, n do local a = 0 for j = 1, n do a = a + x[j] * A(i, j) end y[i] = a end end
local function Atv(x, y, n) for i = 1, n do local a = 0 for j = 1, n do a = a + x[j] * A(j, i) end y[i] = a end end
local n = tonumber(arg and arg[1]) or 300
local u, v, t = {}, {}, {}
for i = 1, n do u[i] = 1 end
for i = 1, 10 do Av(u, t, n) Atv(t, v, n) Av(v, t, n) Atv(t, u, n) end
local a, b = 0, 0
for i = 1, n do a = a + u[i] * v[i] b = b + v[i] * v[i] end
print(string.format("%.9f", math.sqrt(a / b)))
