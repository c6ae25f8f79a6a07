local count
for round = 1, tonumber(arg and arg[1]) or 60 do
  local flags = {}
  for i = 2, 60000 do flags[i] = true end
  count = 0
  for i = 2, 60000 do
    if flags[i] then
      for k = i + i, 60000, i do flags[k] = false end
      count = count + 1
    end
  end
end
print(count)
