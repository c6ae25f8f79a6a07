local n = tonumber(arg and arg[1]) or 130
local function matrix(n, f) local m = {} for i = 1, n do local r = {} for j = 1, n do r[j] = (i - j) * (i + j) * f end m[i] = r end return m end
local a, b = matrix(n, 1 / n), matrix(n, 1 / (n * n))
local c = {}
for i = 1, n do
  local ci, ai = {}, a[i]
  for j = 1, n do
    local s = 0
    for k = 1, n do s = s + ai[k] * b[k][j] end
    ci[j] = s
  end
  c[i] = ci
end
print(string.format("%.6f", c[n / 2][n / 2]))
