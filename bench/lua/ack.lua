local function ack(m, n)
  if m == 0 then return n + 1 end
  if n == 0 then return ack(m - 1, 1) end
  return ack(m - 1, ack(m, n - 1))
end
local r
for i = 1, tonumber(arg and arg[1]) or 4 do r = ack(2, 300) + ack(3, 6) end
print(r)
