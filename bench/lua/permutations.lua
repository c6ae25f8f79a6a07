local function permgen(a, n)
  if n <= 1 then coroutine.yield(a) return end
  for i = 1, n do a[n], a[i] = a[i], a[n] permgen(a, n - 1) a[n], a[i] = a[i], a[n] end
end
local count = 0
for p in coroutine.wrap(function() permgen({1, 2, 3, 4, 5, 6, 7, 8, 9}, 9) end) do count = count + p[1] end
print(count)
