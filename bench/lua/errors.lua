local n = 0
local function check(x) if x % 2 == 0 then error("even") end return x end
local function index(x) return x.field.y end
for i = 1, tonumber(arg and arg[1]) or 300000 do
  local ok, e = pcall(check, i)
  if ok then n = n + e else n = n + #e end
  if i % 3 == 0 then n = n + (pcall(index, {}) and 0 or 1) end
  pcall(error, n)
end
print(n)
