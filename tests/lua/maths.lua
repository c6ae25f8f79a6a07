-- math and bit on ordinary and extreme numbers.
local nums = { 0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 10, 100, 1e10, -1e10, 2^31, 2^32, 2^53, 1e300, -1e300, 5e-324, 1 / 0, -1 / 0, 0 / 0, "10", "0x10", math.pi }
local names = {}
for k, v in pairs(math) do if type(v) == "function" and not k:match("^random") then names[#names + 1] = k end end
table.sort(names)
local function s(ok, ...) local t = { ok and "ok" or "error" } for i = 1, select("#", ...) do local v = select(i, ...) t[#t + 1] = type(v) == "number" and (v ~= v and "nan" or ("%.17g"):format(v)) or tostring(v) end return table.concat(t, " ") end
for _, f in ipairs(names) do
  for _, a in ipairs(nums) do
    print(f, a, s(pcall(math[f], a)))
    for _, b in ipairs { 0, -0.0, 1, -1, 2, 0.5, 10, -3.5, 1 / 0, 0 / 0 } do print(f, a, b, s(pcall(math[f], a, b))) end
  end
end
print(math.max(1, 2, 3), math.max(3, 2, 1), math.min(1, 2, 3), math.min(2, 1, 3), math.max("10", 9), math.min("10", 9))
for _, seed in ipairs { 0, 1, 42, -1, 1e10, 0.5, 1 / 0 } do
  math.randomseed(seed)
  for i = 1, 5 do io.write(("%.17g %d %d "):format(math.random(), math.random(100), math.random(-5, 5))) end print()
end
math.randomseed(7) print(math.random(0), math.random(1), math.random(5, 5), math.random(2^40), math.random(10, 1), math.random(1.5), pcall(math.random, "x"), pcall(math.randomseed, {}), select("#", math.randomseed(1)))
local ints = { 0, 1, -1, 255, 2^31, 2^31 - 1, -2^31, 2^32, 2^32 + 5, 0.5, 1.5, 2.5, -0.5, 1e15, 2^52 + 1, "12", "0xff", 2^63, -1e10 }
for _, f in ipairs { "tobit", "bnot", "bswap", "tohex" } do for _, a in ipairs(ints) do print(f, a, s(pcall(bit[f], a))) end end
for _, f in ipairs { "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex" } do
  for _, a in ipairs(ints) do for _, b in ipairs { 0, 1, 4, 8, 31, 32, 33, -1, 255, 2^31 } do print(f, a, b, s(pcall(bit[f], a, b))) end end
end
print(bit.band(1, 3, 7), bit.bor(1, 2, 4, 8), bit.bxor(1, 1, 1), bit.tohex(-1, -4), bit.tohex(255, 2), bit.tohex(1, 0), pcall(bit.band), pcall(bit.bor, {}), pcall(bit.lshift, 1))
print(7 % 3, -7 % 3, 7 % -3, -7 % -3, 5.5 % 2, -5.5 % 2, 1e300 % 7, 5 % (1 / 0), -5 % (1 / 0), 2 ^ 0.5, 2 ^ 10, (-8) ^ (1 / 3) ~= (-8) ^ (1 / 3), 0 ^ 0, 2 ^ -1, 1 / 0, -1 / 0, 10 / 4, 3 - -3)
for i = 1, 3, 0.5 do io.write(i, " ") end for i = 3, 1, -1 do io.write(i, " ") end for i = 1, 0 do io.write("never") end for i = 0.1, 0.35, 0.1 do io.write(i, " ") end print(pcall(function() for i = 1, "x" do end end), pcall(function() for i = {}, 1 do end end), pcall(function() for i = 1, 2, {} do end end))
for i = 1, 3 do local j = i i = i * 2 io.write(i, j, " ") end for i = "1", "3" do io.write(i, " ") end print()
