-- What traces rest on changes afterwards: globals, upvalues, metatables, functions, table sizes.
function g(x) return x + 1 end
local function run() local s = 0 for i = 1, 100 do s = s + g(i) end return s end
print(run(), run())
g = function(x) return x * 2 end
print(run())
g = math.sqrt
print(run() > 0)
local up = 1
local function set(v) up = v end
local function use() local s = 0 for i = 1, 100 do s = s + up if i == 50 then set(up + 1) end end return s end
print(use(), use(), up)
local mt = {__index = function(t, k) return k * 3 end, __newindex = function(t, k, v) rawset(t, k, v + 1) end}
local t = {}
local function touch(n) local s = 0 for i = 1, n do s = s + (t[i] or 0) t[i] = i end return s end
print(touch(80), touch(80))
setmetatable(t, mt)
print(touch(120), touch(120))
local o = {x = 1}
local function field() local s = 0 for i = 1, 100 do s = s + o.x o.x = s % 7 end return s end
print(field())
for i = 1, 50 do o["k" .. i] = i end
print(field())
o.x = nil
print(pcall(field))
local class = {} class.__index = class
function class:get() return self.n end
local objects = {}
for i = 1, 60 do objects[i] = setmetatable({n = i}, class) end
local function all() local s = 0 for k = 1, 3 do for i = 1, 60 do s = s + objects[i]:get() end end return s end
print(all())
function class:get() return -self.n end
print(all())
objects[30].get = function() return 1000 end
print(all())
