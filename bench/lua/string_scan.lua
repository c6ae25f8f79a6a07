local text = string.rep("the quick brown fox jumps over the lazy dog 12345 ", 200)
local n = 0
for r = 1, tonumber(arg and arg[1]) or 30 do
  for w in text:gmatch("%a+") do n = n + #w end
  n = n + select(2, text:gsub("o", "0"))
  local p = 1
  while true do local a, b = text:find("%d+", p) if not a then break end n = n + tonumber(text:sub(a, b)) p = b + 1 end
end
print(n)
