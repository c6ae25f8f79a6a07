local s = 0
for i = 1, tonumber(arg and arg[1]) or 1500000 do
  local p = {x = i, y = i + 1}
  local q = {p.x, p.y, 3}
  s = s + q[1] + q[2] + q[3] + #q
end
print(s)
