local counter, total = 0, 0
local function inc(d) counter = counter + d total = total + counter % 7 return counter end
local function twice(f, d) return f(d) + f(d) end
for i = 1, tonumber(arg and arg[1]) or 3000000 do total = total + twice(inc, 1) % 3 end
print(counter, total)
