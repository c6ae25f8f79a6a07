local n = tonumber(arg and arg[1]) or 60
local function push(l, v) return {value = v, next = l} end
local keep = {}
for r = 1, n do
  local l
  for i = 1, 10000 do l = push(l, i) end
  local prev
  while l do l.next, l, prev = prev, l.next, l end
  local s = 0
  while prev do s = s + prev.value prev = prev.next end
  keep[r % 10] = push(keep[r % 10], s)
end
print(keep[1].value)
