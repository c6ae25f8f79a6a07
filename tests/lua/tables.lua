-- The table library.
local function p(...) print(...) end
local function l(t) local s = {} for i = 1, #t do s[i] = tostring(t[i]) end return table.concat(s, ",") end
local t = { 1, 2, 3 }
table.insert(t, 4) table.insert(t, 1, 0) p(l(t)) table.insert(t, 3, "x") p(l(t)) table.insert(t, #t + 1, 9) p(l(t))
p(table.remove(t), table.remove(t, 1), table.remove(t, 2), l(t), table.remove({}), table.remove(t, 50), table.remove(t, 0), l(t))
p(select("#", table.remove({})), pcall(table.remove, t, "x"), pcall(table.insert, t), pcall(table.insert, t, 1, 2, 3), pcall(table.insert, {}, "a", 1))
t = {} table.insert(t, 5, "far") p(#t, t[5]) table.insert(t, -3, "neg") p(t[-3])
p(table.concat({}), table.concat({ 1 }), table.concat({ 1, 2, "x", 1.5 }), table.concat({ 1, 2, 3 }, "-"), table.concat({ 1, 2, 3 }, "-", 2), table.concat({ 1, 2, 3 }, "-", 2, 3), table.concat({ 1, 2, 3 }, "-", 3, 2), table.concat({ 1, 2 }, 0))
p(pcall(table.concat, { 1, {}, 3 }), pcall(table.concat, { 1, nil, 3 }, "", 1, 3), pcall(table.concat, { true }), pcall(table.concat, {}, "", 1, 2))
p(table.maxn {}, table.maxn { 1, 2, nil, 4 }, table.maxn { [1.5] = 1, [10] = 2, x = 3, [-1] = 1 }, table.getn { 1, 2 })
table.foreach({ 10 }, p) table.foreachi({ "a", "b" }, p) p(table.foreach({ 1, 2 }, function(k) if k == 2 then return "stop" end end), table.foreachi({ 1, 2 }, function(k) return k end))
p(l(table.move({ 1, 2, 3 }, 1, 3, 2)), l(table.move({ 1, 2, 3 }, 2, 3, 1)), l(table.move({ 1, 2, 3 }, 1, 0, 5)), l(table.move({ 1, 2, 3 }, 1, 3, 1, {})), l(table.move({ 1, 2, 3 }, 1, 3, 3, { 9, 9 })))
-- sort
local function sorted(t, f) local ok, e = pcall(table.sort, t, f) p(ok, ok and l(t) or e) end
sorted { 3, 1, 2 } sorted {} sorted { 1 } sorted { "b", "a", "C", "" } sorted { 5, 4, 3, 2, 1, 9, 8, 7, 6, 0, 5, 5 }
sorted({ 3, 1, 2 }, function(a, b) return a > b end) sorted({ 1, "x" }) sorted({ {}, {} }) sorted({ 1, 2, 3 }, function() return true end) sorted({ 3, 2, 1, 4 }, function() error("cmp", 0) end) sorted({ 3, 2, 1, 4 }, function() error("cmp") end) sorted({ 1, 2, nil, 4 })
sorted({ 1, 2, 3, 4, 5, 6, 7, 8 }, function() return true end) sorted({ true, false })
local calls = {} local big = {} for i = 1, 60 do big[i] = (i * 37) % 61 end
table.sort(big, function(a, b) calls[#calls + 1] = a .. "<" .. b return a < b end) p(l(big), #calls, table.concat(calls, " "))
local objs = {} for i = 1, 9 do objs[i] = setmetatable({ (i * 5) % 9 }, { __lt = function(a, b) return a[1] < b[1] end }) end
p(pcall(table.sort, objs)) local mt = { __lt = function(a, b) return a[1] < b[1] end } for i = 1, 9 do setmetatable(objs[i], mt) end table.sort(objs) for i = 1, 9 do io.write(objs[i][1], " ") end p()
-- new, clear
local new, clear = require "table.new", require "table.clear"
local n = new(10, 10) for i = 1, 20 do n[i] = i n["k" .. i] = i end p(#n) clear(n) p(#n, next(n)) n[1] = 1 p(#n, pcall(new, -1, 0), pcall(new), pcall(clear, 1), pcall(new, 1, 2^30), package.loaded["table.new"] == new, table.new == new)
-- length, next, holes
local h = {} for i = 1, 20 do h[i] = i end for i = 20, 11, -1 do h[i] = nil end p(#h, #{ 1, 2, nil }, #{ nil }, #{ n = 1 }, #{ 1, 2, nil, nil, 5, nil })
p(next {}, next { 5 }, pcall(next, {}, "x"), pcall(next, { 1 }, 2), next({ 1 }, 1), rawlen, rawequal(h, h), rawget(h, 1), rawset(h, 1, 2) == h)
p(pcall(rawset, {}, nil, 1), pcall(rawset, {}, 0 / 0, 1), pcall(function() local t = {} t[nil] = 1 end), pcall(function() local t = {} t[0 / 0] = 1 end), ({})[nil], ({})[0 / 0])
for k, v in pairs { 10, 20, 30, nil, 50 } do io.write(k, "=", v, " ") end for i, v in ipairs { 1, 2, nil, 4 } do io.write(i, ":", v, " ") end p()
p(unpack({ 1, 2, 3 }), unpack({ 1, 2, 3 }, 2), unpack({ 1, 2, 3 }, 2, 5), select("#", unpack({}, 1, 3)), select("#", unpack {}), pcall(unpack, {}, 1, 1e6), pcall(unpack, {}, 1, 8000), unpack({ 1, 2 }, -1, 1))
for _, k in ipairs { 1, 1.5, -1, 2^53, 2^31, -0.0, "1", true, 1e300 } do local t = {} t[k] = "v" io.write(tostring(t[k]), tostring(t[tonumber(k)]), " ") end p(({ [0] = 1 })[-0.0])

-- the border of constructors with holes depends on how their templates grow
do
  local function try(t, ...)
    for i = 1, 4 do t[#t + 1] = i end
    local n = #t
    t[n - 1] = nil
    print(#t, select("#", unpack(t)), n, ...)
  end
  try({-8, 1e15, 45, n = 3})
  try({1, nil, 3, n = 3})
  try({1, 2, nil, 4})
  try({nil, nil, 3})
  try({[1] = 1, [2] = 2, [4] = 4})
  try({1, 2, [5] = 5, 3})
  try({x = 1, 1, 2, 3, 4, 5, 6, 7, 8, 9})
  try({1, 2, 3, 4, y = math.pi, z = print})
  try({print, 2, 3, nil, 5})
  try({[0] = 0, 1, 2})
  for _, n in ipairs{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33} do
    local parts = {}
    for i = 1, n do parts[i] = tostring(i) end
    local t = loadstring("return {" .. table.concat(parts, ",") .. ", k = 1}")()
    t[n + 2] = 1 t[n] = nil
    print(n, #t, select("#", unpack(t)))
    t[n + 1] = 2
    print(n, #t)
  end
end
