local src = string.rep("local x = foo(12, 'text') + y.z[3] -- comment\nif x >= 10 then return x end\n", 60)
local sub, byte, find = string.sub, string.byte, string.find
local keywords = {["local"] = true, ["if"] = true, ["then"] = true, ["return"] = true, ["end"] = true}
local function lex(s)
  local i, n, kinds = 1, #s, {name = 0, key = 0, num = 0, str = 0, op = 0}
  while i <= n do
    local c = byte(s, i)
    if c == 32 or c == 10 then i = i + 1
    elseif c >= 97 and c <= 122 then
      local j = i + 1
      while j <= n do local d = byte(s, j) if not (d >= 97 and d <= 122) then break end j = j + 1 end
      local w = sub(s, i, j - 1)
      local k = keywords[w] and "key" or "name"
      kinds[k] = kinds[k] + 1
      i = j
    elseif c >= 48 and c <= 57 then
      local _, e = find(s, "^%d+", i)
      kinds.num = kinds.num + 1
      i = e + 1
    elseif c == 39 then i = find(s, "'", i + 1, true) + 1 kinds.str = kinds.str + 1
    elseif sub(s, i, i + 1) == "--" then i = (find(s, "\n", i, true) or n) + 1
    else kinds.op = kinds.op + 1 i = i + 1 end
  end
  return kinds
end
local k
for r = 1, tonumber(arg and arg[1]) or 120 do k = lex(src) end
print(k.name, k.key, k.num, k.str, k.op)
