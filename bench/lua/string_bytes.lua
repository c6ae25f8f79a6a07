local s = string.rep("abcdefghijklmnopqrstuvwxyz", 40)
local h, byte, sub = 0, string.byte, string.sub
for r = 1, tonumber(arg and arg[1]) or 800 do
  for i = 1, #s do h = (h * 31 + byte(s, i)) % 1000000007 end
  for i = 1, #s - 3, 3 do if sub(s, i, i + 1) == "de" then h = h + 1 end end
end
print(h)
