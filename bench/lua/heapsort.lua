local seed = 42
local function random() seed = (seed * 3877 + 29573) % 139968 return seed / 139968 end
local function sort(a, n)
  local l, ir = math.floor(n / 2) + 1, n
  while true do
    local v
    if l > 1 then l = l - 1 v = a[l]
    else
      v = a[ir] a[ir] = a[1] ir = ir - 1
      if ir == 1 then a[1] = v return end
    end
    local i, j = l, l * 2
    while j <= ir do
      if j < ir and a[j] < a[j + 1] then j = j + 1 end
      if v < a[j] then a[i] = a[j] i = j j = j + i else j = ir + 1 end
    end
    a[i] = v
  end
end
local n = tonumber(arg and arg[1]) or 150000
local a = {}
for i = 1, n do a[i] = random() end
sort(a, n)
for i = 2, n do assert(a[i - 1] <= a[i]) end
print(a[1])
