-- Errors in the middle of hot loops: messages, lines, levels, and what was done before.
local log = {}
local function work(t, n)
  local s = 0
  for i = 1, n do
    s = s + t[i].v
    log[#log + 1] = i
  end
  return s
end
local good = {}
for i = 1, 100 do good[i] = {v = i} end
for i = 1, 5 do print(pcall(work, good, 100)) end
good[60] = nil
print(pcall(work, good, 100))
good[60] = {v = "x"}
print(pcall(work, good, 100))
print(#log)
local function deep(n) if n == 0 then error("bottom") end return (deep(n - 1)) end
for i = 1, 40 do local ok, e = pcall(deep, i) if i % 10 == 0 then print(ok, e) end end
print(xpcall(function() for i = 1, 100 do string.rep("x", i > 90 and {} or 1) end end, debug.traceback))
local ok, e = pcall(function() local function f() return f() + 1 end return f() end)
print(ok, #e > 0)
for i = 1, 100 do local ok, e = pcall(string.rep) if i == 100 then print(ok, e) end end
