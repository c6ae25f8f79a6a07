local n = 0
for i = 1, tonumber(arg and arg[1]) or 200000 do
  n = n + #string.format("%d:%s:%5.2f", i, "name", i / 3) + #tostring(i * 0.5)
end
print(n)
