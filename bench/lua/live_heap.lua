local cache = {}
for i = 1, 100000 do cache[i] = {id = i, name = "n" .. i, list = {i, i + 1}} end
local s = 0
for i = 1, tonumber(arg and arg[1]) or 600000 do
  local k = i * 7919 % 100000 + 1
  cache[k] = {id = i, name = cache[k].name, list = {i}}
  s = s + cache[k].id
end
print(s)
