local n, s = tonumber(arg and arg[1]) or 400, 0
for i = 1, n do
  for j = 1, 100 do
    for k = 1, 500 do if (i + j + k) % 3 ~= 0 then s = s + k - j end end
  end
end
print(s)
