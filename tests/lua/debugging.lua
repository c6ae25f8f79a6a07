-- debug: names, levels, locals, tracebacks, hooks.
function foo (a,b,...) local d, e end
print(debug.getlocal(foo,1), debug.getlocal(foo,3))
local co = coroutine.create(function (x)
  local a = 1
  coroutine.yield(debug.getinfo(1, "l"))
  coroutine.yield(debug.getinfo(1, "l").currentline)
  return a
end)
local tr = true
local function tb(...) print((tostring(debug.traceback(...)):gsub("0x%x+","ADDR"))) end

local _, l = coroutine.resume(co, 10)
tb(co) tb(co,nil,1) tb(co,"hi") tb(co, "x", 0)
print(debug.getlocal(co, 1, 1)) print(debug.getlocal(co,1,2)) print(debug.getlocal(co,0,1))
print(pcall(debug.getlocal, co, 5, 1))
local x = debug.getinfo(co, 1, "lfLS") print(x.currentline, x.func ~= nil)

print(debug.setlocal(co,1,2,"hi")) print(debug.getlocal(co,1,2))
coroutine.resume(co) tb(co)
print(coroutine.resume(co)) tb(co)
co = coroutine.create(function() error("x") end)
print(coroutine.resume(co)) tb(co)
co = coroutine.create(function() error({}) end)
coroutine.resume(co) tb(co)
tb("msg", 0) tb("msg", 1) tb("msg", 2) tb("x", 100)
print(debug.traceback(nil), debug.traceback({}) ~= nil, debug.traceback(12))
local function deep(n) if n == 0 then tb("deep") else deep(n-1) return 1 end end
deep(3) deep(30)
for i, f in ipairs{print, deep, string.rep, coroutine.wrap(print)} do
 for _, w in ipairs{"S","l","u","n","f","L"} do
  local t = debug.getinfo(f, w) local ks = {}
  for k,v in pairs(t) do if type(v) ~= "function" and type(v) ~= "table" then ks[#ks+1]=k.."="..tostring(v) else ks[#ks+1]=k end end
  table.sort(ks) print(i,w,table.concat(ks," "))
 end
end
do
local a
debug.sethook(function (e,l) print(e,l) end, "l")
do a=math.sin(40); end
a = (function() return 1 end)() + 1
for i=1,2 do local x = i end
a = {} a[1]=2 a[2] = tostring(3)
debug.sethook()
debug.sethook(print, "", 100) print(debug.gethook()) debug.sethook()
debug.sethook(print, "c", 0) print(debug.gethook()) debug.sethook()
print(debug.gethook())
end do
a = {}
local glob = 1
local L
debug.sethook(function (e,l)
  local f, m, c = debug.gethook()
  print(e,l,m,c, debug.getinfo(2,"n").name, debug.getinfo(2,"S").what)
end, "crl")
function f(a,b)
  local _, x = debug.getlocal(1, 1)
  local _, y = debug.getlocal(1, 2)
  glob = glob+1
  return a
end
function g (...)
  do local a,b,c; a=math.sin(40); end
  local feijao
  local AAAA,B = "xuxu", "mamao"
  f(AAAA,B)
  return f(1)
end
g()
for i=1,2 do local x = i end
coroutine.wrap(function() coroutine.yield(1) end)()
local t = setmetatable({},{__index=function(t,k) return k end})
local x = t.foo
debug.sethook()
end
