-- Every library function with every kind of wrong argument, called directly, as a method and through pcall.
local skip = {
  ["os.exit"] = true, ["os.execute"] = true, ["io.read"] = true, ["io.lines"] = true, ["debug.debug"] = true,
  ["os.tmpname"] = true, ["io.close"] = true, ["coroutine.yield"] = true, ["os.remove"] = true, ["io.output"] = true,
  ["io.input"] = true, ["io.popen"] = true, ["io.tmpfile"] = true, ["os.clock"] = true, ["os.time"] = true,
  ["os.date"] = true, ["os.rename"] = true, ["collectgarbage"] = true, ["gcinfo"] = true, ["print"] = true,
  ["dofile"] = true, ["loadfile"] = true, ["debug.sethook"] = true, ["jit.on"] = true, ["jit.status"] = true,
  ["math.random"] = true, ["debug.getregistry"] = true, ["os.getenv"] = true, ["io.write"] = true, ["setfenv"] = true,
  ["debug.setmetatable"] = true, ["debug.setfenv"] = true, ["debug.getinfo"] = true, ["debug.traceback"] = true,
  ["newproxy"] = true, ["jit.security"] = true, ["io.open"] = true, ["debug.gethook"] = true, ["os.setlocale"] = true,
  ["jit.flush"] = true, ["jit.off"] = true, ["jit.attach"] = true, ["math.randomseed"] = true, ["module"] = true,
  ["require"] = true, ["package.loadlib"] = true, ["debug.setlocal"] = true, ["debug.getlocal"] = true, ["xpcall"] = true,
  ["pcall"] = true, ["getfenv"] = true, ["load"] = true, ["math.deg"] = true, ["math.rad"] = true, ["loadstring"] = true, ["debug.getfenv"] = true,
}
local co = coroutine.create(function() end)
local f = function() return 1 end
local values = { nil, false, 0, -1, 2.5, "", "x", "3", {}, f, co, io.stdout }
local shown = { "nil", "false", "0", "-1", "2.5", "''", "'x'", "'3'", "{}", "f", "co", "file" }
local function show(...)
  local t = { n = select("#", ...), ... }
  for i = 1, t.n do
    local s = tostring(t[i])
    t[i] = s:gsub("0x%x+", "ADDR")
  end
  return table.concat(t, " ", 1, t.n)
end
local names = {}
for _, lib in ipairs { "string", "table", "math", "bit", "coroutine", "os", "io", "debug", "package", "jit" } do
  for k, v in pairs(_G[lib]) do
    if type(v) == "function" then names[#names + 1] = lib .. "." .. k end
  end
end
for k, v in pairs(_G) do
  if type(v) == "function" then names[#names + 1] = k end
end
table.sort(names)
for _, name in ipairs(names) do
  if not skip[name] then
    local lib, field = name:match("^(%w+)%.(%w+)$")
    local fn = lib and _G[lib][field] or _G[name]
    print(name, "()", show(pcall(fn)))
    for i = 1, 12 do
      local a = i == 9 and {} or values[i]
      print(name, shown[i], show(pcall(fn, a)))
      for j = 1, 12, 2 do
        local b = j == 9 and {} or values[j]
        if i == 9 then a = {} end
        print(name, shown[i], shown[j], show(pcall(fn, a, b)))
      end
      if i == 9 then a = {} end
      print(name, shown[i], "1 x", show(pcall(fn, a, 1, "x")))
      if i == 9 then a = {} end
      print(name, shown[i], "x 1 {}", show(pcall(fn, a, "x", 1, {})))
    end
  end
end
-- The name by which a function is called is part of the message.
local up = string.rep
local t = { rep = string.rep, n = { rep = string.rep } }
print(pcall(function() local r = string.rep; r() end))
print(pcall(function() up() end))
print(pcall(function() t.rep({}) end))
print(pcall(function() t.n.rep("x", {}) end))
print(pcall(function() ("x"):rep({}) end))
print(pcall(function() t:rep(1) end))
print(pcall(function() string.rep("x", nil) end))
print(pcall(function() io.stdout.write() end))
print(pcall(function() io.stdout:write({}) end))
print(pcall(function() io.stdout:seek("x") end))
print(pcall(function() io.stdout.close({}) end))
print(pcall(function() setmetatable({}, { __index = string.rep }).x() end))
print(pcall(function() for i in string.rep do end end))
print(pcall(function() return {} + setmetatable({}, { __add = string.rep }) end))
