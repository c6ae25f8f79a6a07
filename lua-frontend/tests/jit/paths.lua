local function f(x, y) if x < y then return x else return y * 2 end end
local t = {}
for i = 1, 300 do t[i] = i end
local s = 0
for k = 1, 20 do
for i = 1, #t do s = s + f(t[i], 100) ; t[i] = t[i] + 1 end
end
print(s)
local n = 0
while n < 1000 do n = n + 1; if n % 3 == 0 then s = s - n end end
print(s, n)
for i, v in ipairs(t) do s = s + v end
print(s)
local o = setmetatable({}, {__index = {get = function(self, k) return self.v + k end}})
o.v = 3
for i = 1, 500 do s = s + o:get(i) end
print(s)
local parts = {}
for i = 1, 200 do parts[#parts + 1] = i .. ":" .. string.sub("hello", i % 5 + 1) end
print(#table.concat(parts, ","))
local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end
print(fib(20))
for i = 10, 1, -1 do s = s + i end
for x = 0, 1, 0.01 do s = s + x end
print(s)
