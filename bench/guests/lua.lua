-- Mixed work for a Lua interpreter: numbers, tables, strings, closures, methods,
-- coroutines, the collector. `units` says how often.

local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end

local Account = {}
Account.__index = Account
function Account.new(n) return setmetatable({balance = n, log = {}}, Account) end
function Account:deposit(n)
  self.balance = (self.balance + n) % 1000003
  self.log[#self.log % 16 + 1] = n
end

local function accounts(n)
  local all = {}
  for i = 1, 20 do all[i] = Account.new(i) end
  for i = 1, n do all[i % 20 + 1]:deposit(i) end
  local sum = 0
  for _, a in ipairs(all) do sum = sum + a.balance end
  return sum
end

local function words(n)
  local seen, parts = {}, {}
  for i = 1, n do parts[i] = "w" .. (i * 7919 % 300) end
  for w in table.concat(parts, " "):gmatch("%a%d+") do seen[w] = (seen[w] or 0) + 1 end
  local names = {}
  for w, c in pairs(seen) do names[#names + 1] = ("%s:%d"):format(w, c) end
  table.sort(names)
  return #table.concat(names, ","):gsub("%d", "x"):upper()
end

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

local function matrix(n)
  local a, b, c = {}, {}, {}
  for i = 1, n do
    a[i], b[i], c[i] = {}, {}, {}
    for j = 1, n do a[i][j], b[i][j] = i + j * 0.5, i - j * 0.25 end
  end
  for i = 1, n do
    local ci, ai = c[i], a[i]
    for j = 1, n do
      local s = 0.0
      for k = 1, n do s = s + ai[k] * b[k][j] end
      ci[j] = s
    end
  end
  return c[n][n]
end

local function generator(n)
  local co = coroutine.wrap(function()
    for i = 1, n do coroutine.yield(i * i) end
    return 0
  end)
  local sum = 0
  for _ = 1, n do sum = sum + co() end
  return sum
end

local function closures(n)
  local list = {}
  for i = 1, n do list[i] = function(x) return x * i end end
  table.sort(list, function(p, q) return p(3) > q(3) end)
  local sum = 0
  for i = 1, n do sum = (sum + list[i](i)) % 1000003 end
  return sum
end

local sum = 0
for u = 1, units do
  local part = sieve(6000) + accounts(6000) + words(1500) + fib(17) + matrix(20) + generator(1500) + closures(400)
  sum = (sum * 31 + part + u) % 1000000007
end
print("lua", sum)
