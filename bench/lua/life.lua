local W, H = 64, 48
local function board() local b = {} for y = 0, H + 1 do b[y] = {} for x = 0, W + 1 do b[y][x] = 0 end end return b end
local a, b, seed = board(), board(), 1
for y = 1, H do for x = 1, W do seed = seed * 16807 % 2147483647 a[y][x] = seed % 3 == 0 and 1 or 0 end end
for g = 1, tonumber(arg and arg[1]) or 150 do
  for y = 1, H do
    local u, c, d, o = a[y - 1], a[y], a[y + 1], b[y]
    for x = 1, W do
      local n = u[x - 1] + u[x] + u[x + 1] + c[x - 1] + c[x + 1] + d[x - 1] + d[x] + d[x + 1]
      o[x] = (n == 3 or (n == 2 and c[x] == 1)) and 1 or 0
    end
  end
  a, b = b, a
end
local n = 0
for y = 1, H do for x = 1, W do n = n + a[y][x] end end
print(n)
