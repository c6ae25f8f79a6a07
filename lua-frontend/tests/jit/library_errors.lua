-- Errors that library functions raise in traces: message, level, position, variable names, traceback.

local function at(n, f)
  for i = 1, 40 do
    local x = i < n and "1" or nil
    f(i, x)
  end
end
print(pcall(at, 30, function(i, x) local y = string.rep(x, 2) return y end))
print(pcall(at, 30, function(i, x) local y = ("a"):rep(i):find(x) return y end))
print(pcall(at, 30, function(i, x) local y = "a" .. i .. x return y end))
print(pcall(at, 30, function(i, x) local y = i .. x return y end))
print(pcall(at, 30, function(i, x) table.insert({}, 1, 2, x) end))
print(pcall(at, 30, function(i, x) return table.concat({ i, x or {} }) end))
print(pcall(at, 30, function(i, x) return math.floor(x) + 1 end))
print(pcall(at, 30, function(i, x) return #x end))
print(pcall(at, 30, function(i, x) for k in pairs(x and {} or 5) do print(k) end end))
print(pcall(at, 30, function(i, x) if not x then error("level 1") end end))
print(pcall(at, 30, function(i, x) if not x then error("level 2", 2) end end))
print(pcall(at, 30, function(i, x) if not x then error({ code = i }) end end))
print(pcall(at, 30, function(i, x) assert(x, "message") end))
print(pcall(at, 30, function(i, x) return assert(x) end))
print(pcall(at, 30, function(i, x) return setmetatable({}, x and {} or 1) end))
print(pcall(at, 30, function(i, x) return string.char(x and 65 or 256) end))
print(pcall(at, 30, function(i, x) return tostring(setmetatable({}, { __tostring = function() error("inner " .. i) end })) end))
print(pcall(at, 30, function(i, x) table.sort({ 3, 2, 1 }, function(a, b) return a < (x and b or nil) end) end))
print(pcall(at, 30, function(i, x) return ("abc"):gsub(".", function() return x and "y" or {} end) end))

local function deep(n, x) if n == 0 then return string.rep(x, 2) .. "" end local r = deep(n - 1, x) return r end
print(pcall(at, 30, function(i, x) return deep(3, x) end))
print(xpcall(function() at(30, function(i, x) return deep(3, x) end) end, function(m) return m .. "\n" .. debug.traceback() end))
print(xpcall(at, debug.traceback, 30, function(i, x) local t = string.sub(x, 1) return t end))

-- Caught again and again, in a loop that is hot itself.
local caught = {}
for i = 1, 60 do
  local ok, m = pcall(string.rep, i % 2 == 0 and "x" or nil, 3)
  local ok2, m2 = pcall(function() local t = {} t[#t + 1] = string.upper(i % 3 == 0 and "up" or {}) return t[1] end)
  local ok3, m3 = pcall(error, i % 4 == 0 and { i } or "text", 0)
  caught[i] = tostring(ok) .. m .. tostring(ok2) .. m2 .. tostring(ok3) .. type(m3)
end
print(caught[1], caught[2], caught[3], caught[59], caught[60])
local function where() return debug.getinfo(2, "l").currentline, debug.getinfo(2, "n").name end
local lines = {}
for i = 1, 40 do
  local function named() return (where()) end
  lines[i] = named() + select("#", where())
end
print(lines[1], lines[40])
