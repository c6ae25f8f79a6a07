-- Calls every function of probe.c; the output is the same under rjit and LuaJIT.
jit.off() -- compiled loops do not look at hooks
package.path = ""
local p = require "probe"
print(p.version, p.again, probe_global.inner.look ~= nil, package.loaded["probe_global.inner"] == probe_global.inner)
print(p.stack(1, 2))
local co = coroutine.create(print)
local t, n = p.look(12.75, "0x10", "text", nil, true, {1, 2, 3}, print, p.look, co, io.stdout, -3, "1e2", "", 2^40)
for i, v in ipairs(t) do print(i, v) end
print(n)
local mt = {__eq = function() return true end, __lt = function(a, b) return a.n < b.n end, __concat = function(a, b)
  return (type(a) == "table" and a.n or a) .. "&" .. (type(b) == "table" and b.n or b) end,
  __tostring = function(o) return "object " .. o.n end}
local a, b = setmetatable({n = 1}, mt), setmetatable({n = 2}, mt)
print(p.compare(a, b, true))
print(p.compare(1, 1, true))
print(p.compare("a", "b", true))
print(p.compare("a", 1))
print(pcall(p.compare, {}, {}, true))
print(select(2, p.tables()))
print(p.index_argument({x = 5}, "x"))
print(p.index_argument(setmetatable({}, {__index = function(_, k) return k .. "!" end}), "y"))
print(pcall(p.index_argument, nil, "y"))
local log = {}
p.index_argument(setmetatable({}, {__newindex = function(_, k, v) log[#log + 1] = k .. "=" .. v end}), "k", "v")
print(log[1], pcall(p.index_argument, {}, 0 / 0, 1))
print(p.concat(), p.concat(1), p.concat("a", 2, "c", 4.5), p.concat(a, "x", b), pcall(p.concat, "x", {}))
local function env() return answer end
local e1, ok, same, g, reg = p.environments(env)
print(e1 == _G, ok, same, g == probe_global, reg, env())

-- userdata
local c = p.new_counter(5)
print(c:add(2):add(0.5):get())
print(pcall(c.add, {}, 1))
print(pcall(c.add, c, "x"))
print(pcall(function() c:add({}) end))
print(type(c), #tostring(c) > 10)
for i = 1, 100 do p.new_counter(i) end
collectgarbage() collectgarbage()
print(p.collected() >= 90)

-- upvalues
local f, same, name, none, set = p.make_numbers(10, 3)
print(same, name, none, set, f(), f(), debug.getinfo(f, "u").nups, debug.getupvalue(f, 1))
print(debug.setupvalue(f, 1, 100), f(), debug.getupvalue(f, 3))

-- errors
print(pcall(p.fail, "plain"))
print(select("#", pcall(p.fail, nil)), pcall(p.fail))
local object = {}
print(select(2, pcall(p.fail, object)) == object)
print(pcall(p.fail_with, "text", 7))
print(pcall(function() p.fail_with("text", 7) end))
print(pcall(function() p.fail_with("text") end))
print(p.where(0), p.where(1), p.where(50))
print(p.protect(function(...) return ... end, 1, 2, 3))
print(p.protect(error, "message", 0))
print(p.protect(error))
print(p.protect(p.fail, "inner"))
print(p.protect(nil))
print(p.protect(p.protect, p.fail, "inner"))
print(p.protect_with_handler(function() error("deep", 0) end))
print(p.protect_with_handler(p.fail, "c"))
print(p.protect_with_handler(function(...) return ... end, 1, 2, 3))
print(p.call(function(...) return select("#", ...) end, 1, 2, 3))
print(pcall(p.call, error, "through C", 0))
print(pcall(p.call, function() local x = nil; return x.y end))
print(p.cpcall())
for i = 0, 7 do print(i, pcall(p.nest, i)) end
print(xpcall(function() p.call(p.call, p.fail, "far") end, function(m) return "H:" .. m end))
for i = 1, os.getenv("RJIT_GC_STRESS") and 10 or 1000 do pcall(p.nest, 5) end
print(p.protect(string.rep))
print(pcall(p.protect, (function() local function r() return p.call(r) end return r end)()))
do
  local depth = 0
  local function r() depth = depth + 1; p.call(r) end
  local ok, m = pcall(r)
  print(ok, (tostring(m):gsub("^.-:%d+: ", "")), depth > 100)
end

-- arguments
print(p.arguments({}, "str\0ing"))
print(p.arguments({}, 12, "three", 5, "7"))
for _, args in ipairs{{1}, {{}}, {{}, {}}, {{}, "", "four"}, {{}, "", 1}, {{}, "", "one", {}}, {{}, "", "one", "", "x"},
  {{}, "", "one", "", 1, 6, 7, 8}} do print(pcall(p.arguments, unpack(args))) end
print(pcall(p.wrong), pcall(p.wrong, 1), pcall(p.wrong, c))
print(p.meta(a), p.meta({}), p.meta(1))
print(p.references())
for _, n in ipairs{0, 1, 100, 3000} do
  local s, top = p.buffers(n)
  local sum = 0
  for i = 1, #s do sum = (sum * 31 + s:byte(i)) % 1000003 end
  print(#s, sum, top)
end
print(select(4, p.texts()))
do
  local r = {p.chunks()}
  for i, v in ipairs(r) do if type(v) == "string" and #v > 0 and v:byte() == 27 then v = "dump" end
    print(i, type(v) == "function" and "function" or v) end
end

-- coroutines
local w = coroutine.wrap(function(...) local r = {p.yielder(...)}; return "end", unpack(r) end)
print(w(1, 2, 3)) print(w("back")) print(pcall(w))
local w = coroutine.wrap(p.yielder)
print(w(7, 8)) print(w(9)) print(pcall(w))
print(pcall(p.yielder, 1))
local gen = p.make_generator()
local w = coroutine.wrap(function() for i = 1, 5 do print("got", gen()) end return "over" end)
print(w(), w(), w(), w())
print(select(2, coroutine.resume(coroutine.create(function() return pcall(p.call, p.yielder, 1) end))))
local function show(f)
  local t, again, main, yieldable = p.resume_all(f)
  for i, v in ipairs(t) do print(i, v) end
  print(again ~= 0, main, yieldable)
end
show(function(a) local b = coroutine.yield(a, "y"); local c = coroutine.yield(b, "z"); return "done", a, b, c end)
show(function(a) coroutine.yield(a); error("in coroutine", 0) end)
show(p.yielder)
show(p.make_generator())
show(function() return end)
show(coroutine.wrap(function() show(function() coroutine.yield(1) end) return "outer" end))

-- looking at functions
local function outer(arg1, arg2)
  local r = {p.inspect(arg2)}
  for i = 1, 4 do print(r[2][i]) end
  print(unpack(r, 3))
  return arg1
end
print((outer("first", "second")))
print((p.traceback(0):gsub("0x%x+", "ADDR"):gsub("\n.*main chunk.*", "")))
print((p.traceback(1):gsub("0x%x+", "ADDR"):gsub("\n.*main chunk.*", "")))
local x, y = 1, 2
local function fx() return x end
local function fy() return y end
print(p.join(fx, fy)) print(fx(), fy())
local function body()
  local s = 0
  for i = 1, 3 do
    s = s + math.abs(i)
  end
  return s
end
print(p.hooked(body, 4))
print(p.hooked(function() while true do end end, 8))
print((debug.gethook()))

print(p.collector())
print(p.other_state("return string.rep('x', 3) .. #arg"))
print(p.other_state("local t = {} for i = 1, 1000 do t[i] = {i} end return #t + select('#', 1, 2)"))
print(pcall(p.file, 1))
io.stdout:write("") print(p.file(io.stdout))
local f = io.tmpfile() print(p.file(f)) f:seek("set") print(f:read("*a")) f:close() print(p.file(f))
print(p.churn(os.getenv("RJIT_GC_STRESS") and 100 or 300000))
print(require "probe.part")
print(package.loadlib(package.searchpath("probe", package.cpath), "luaopen_probe") ~= nil)
print(select(3, package.loadlib(package.searchpath("probe", package.cpath), "no_such_function")))
print(package.loadlib(package.searchpath("probe", package.cpath), "*"))
