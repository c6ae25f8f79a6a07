-- Types that change midway, negative zero, NaN, strings as numbers, nil holes.
local t = {}
for i = 1, 200 do t[i] = i % 50 == 0 and tostring(i) or i end
local s = 0
for k = 1, 4 do for i = 1, #t do s = s + t[i] end end
print(s)
local z = {}
for i = 1, 100 do local x = -i * 0 z[i] = 1 / x end
print(z[1], z[100], 1 / (0 * -1))
local nan = 0 / 0
local n = 0
for i = 1, 100 do local x = i == 77 and nan or i if x < 50 then n = n + 1 elseif x >= 50 then n = n + 100 else n = n - 7 end if x ~= x then n = n + 1e6 end end
print(n)
local h = {}
for i = 1, 120 do h[i] = i end
for i = 1, 120, 7 do h[i] = nil end
local c = 0
for k = 1, 3 do for i = 1, 120 do if h[i] then c = c + h[i] elseif h[i] == nil then c = c - 1 end end end
print(c)
for i = 1, 100 do local v = i > 90 and {} or i if type(v) == "number" then c = c + v else c = c + #v end end
print(c, -7 % 3, 7 % -3, 5.5 % -2)
for i = 1, 80 do c = c + (i % 7) - (-i % 5) + i % 2.5 end
print(c)
