local function make(a) return function(b) return function(c) return a + b + c end end end
local function compose(f, g) return function(x) return f(g(x)) end end
local s = 0
for i = 1, tonumber(arg and arg[1]) or 1000000 do
  s = s + make(i)(1)(2)
  if i % 4 == 0 then s = compose(function(x) return x + i end, function(x) return x * 0.5 end)(s) end
end
print(s)
