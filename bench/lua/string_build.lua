local total = 0
for r = 1, tonumber(arg and arg[1]) or 150 do
  local parts, s = {}, ""
  for i = 1, 1000 do parts[i] = "item " .. i .. ";" end
  for i = 1, 200 do s = s .. parts[i] end
  total = total + #table.concat(parts, ",") + #s
end
print(total)
