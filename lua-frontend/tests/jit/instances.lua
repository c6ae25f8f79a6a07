-- Library functions of which there are many with the same code: a trace of one serves the others.
local function words(text, pattern)
  local n, all = 0, {}
  for w, rest in text:gmatch(pattern) do
    n = n + #w
    all[#all + 1] = w .. tostring(rest)
  end
  return n, table.concat(all, ",")
end
for i = 1, 40 do
  local text = ("ab cde f"):rep(i % 5 + 1, " ")
  local pattern = i % 3 == 0 and "(%a)(%a?)" or "%a+"
  print(i, words(text, pattern))
end

-- In a tail call, and with another function in its place now and then.
local function step(f) return f() end
local sum = 0
for i = 1, 200 do
  local it = ("1 22 333 4444"):gmatch("%d+")
  if i % 50 == 0 then it = function() return i end end
  if i % 33 == 0 then it = math.random and os.time and function() return "7" end end
  for _ = 1, 3 do sum = sum + tonumber((step(it))) end
end
print(sum)

-- Visits that are over soon: the root sleeps, and what is computed stays the same.
local function leaves(x) if x % 2 == 0 then return "even" elseif x % 3 == 0 then return {} end return x end
local kinds = {}
for i = 1, 3000 do
  local k = type(leaves(i)) .. type(leaves(i * 3))
  kinds[k] = (kinds[k] or 0) + 1
end
print(kinds.stringstring, kinds.numbertable, kinds.tabletable)
