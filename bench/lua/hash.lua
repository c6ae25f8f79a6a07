local t = {}
for i = 1, tonumber(arg and arg[1]) or 500000 do
  local k = "k" .. (i % 5000)
  t[k] = (t[k] or 0) + i
end
local s, n = 0, 0
for r = 1, 60 do for k, v in pairs(t) do s = s + v n = n + 1 end end
local u = {}
for i = 1, 300000 do u[i * 17 % 65537] = i end
print(s, n, #u)
