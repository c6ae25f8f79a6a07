-- The string library on good arguments and at its edges.
local function p(...) print(...) end
p(("hello"):len(), #"", ("a\0b"):len())
p(("hello"):byte(), ("hello"):byte(2), ("hello"):byte(-1), ("hello"):byte(2, 4), ("hello"):byte(10), ("hello"):byte(0))
p(("hello"):byte(-100, 100))
p(string.char(), string.char(72, 105), pcall(string.char, 256), pcall(string.char, -1))
for _, r in ipairs { { 1, 3 }, { 2 }, { -3 }, { -3, -2 }, { 0 }, { 4, 2 }, { 2, -2 }, { -100, 2 }, { 3, 100 }, { 1.9, 2.9 }, { 2^31, 2^31 }, { -2^31, 2 } } do
  p(r[1], r[2], "[" .. ("hello"):sub(r[1], r[2]) .. "]")
end
p(("ab"):rep(0), ("ab"):rep(-1), ("ab"):rep(1), ("ab"):rep(3), ("ab"):rep(3, ","), ("ab"):rep(1, ","), (""):rep(100), ("x"):rep(3, ""), (""):rep(3, "-"))
p(#("x"):rep(1000, "yz"), #("abc"):rep(12345))
p(("Hello World"):lower(), ("Hello World"):upper(), ("äÖ"):lower(), ("hello"):reverse(), (""):reverse())
p(pcall(string.rep, "x", 2^31 - 1, "yyyyyyyyyyyyyyyyyyyyyyyyy"))
-- format
local function f(...) p(pcall(string.format, ...)) end
for _, s in ipairs { "%d", "%5d", "%-5d|", "%05d", "%+d", "% d", "%.3d", "%8.3d", "%x", "%X", "%#x", "%o", "%#o", "%u", "%i", "%c", "%e", "%.3f", "%10.2f", "%g", "%a", "%A", "%G", "%E", "%s", "%q", "%5s", "%-5s|", "%.1s", "%+.3e", "%#.0f", "%#g", "%020.5g", "%.14g", "%.17g", "%.99f", "%99d", "%5.1s|", "% 5d", "%+5d", "%-+5d|", "%.0f", "%.0e", "%#.0e", "%.20g", "%010.3f" } do
  for _, v in ipairs { 0, 1, -1, 65, 255.7, -3.99, 1e15, 2^53, 1e100, 1 / 3, "12", "0x10", 2^31, 2^63, -2^63, 1e-5, 123456789, 0.1, 100, 1e14, 1e16 } do
    p(s, v, pcall(string.format, s, v))
  end
  p(s, pcall(string.format, s, 0 / 0), pcall(string.format, s, 1 / 0), pcall(string.format, s, -1 / 0), pcall(string.format, s, -0))
end
f("%s %s", 1)
f("%d", "x")
f("%d", {})
f("%y", 1)
f("%", 1)
f("%100d", 1)
f("%.100f", 1)
f("%-", 1)
f("%#", 1)
f("%5.", 1)
f("%%%d%%", 5)
f("no args")
f("%s%s%s", nil, true, false)
f("%q", "a\nb\\c\"d\0e\r\t\1272\200")
f("%q", 12)
f("%s", setmetatable({}, { __tostring = function() return "meta" end }))
f("%q", setmetatable({}, { __tostring = function() return "me\nta" end }))
f("%s", setmetatable({}, { __tostring = function() return 1 end }))
f("%s", setmetatable({}, { __tostring = function() error("oops", 0) end }))
f("%10s|%-10s|", setmetatable({}, { __tostring = function() return "m" end }), "n")
f("%c%c%c", 76, 117, 97)
f("%5c|%-5c|", 65, 66)
f("%c", 300)
f("%.3q", "abcdef")
f(12)
f({})
p((("%p"):format(nil)), (("%p"):format(1)), #("%p"):format({}) > 6, ("%p"):format("x") == ("%p"):format("x"))
p(("%s|%s"):format(1e15, 1e14), ("%s"):format(-0.0), ("%d"):format(-0.0), ("%.3s"):format("abcdef"))
p(("%d"):format(3.99), ("%d"):format("3.99"), ("%x"):format(-1), ("%u"):format(-1), ("%o"):format(-1), ("%d"):format(2^63), ("%x"):format(2^64), ("%x"):format(2^63 + 2048))
-- tostring and tonumber
for _, v in ipairs { 0, -0, 1, -1, 0.1, 1e14, 1e15, 123456789012345, 1e100, -1e-100, 2^53, 2^63, 1 / 3, 1e308 * 10, -1e308 * 10, 5e-324, 12345.678, 99999999999999, 999999999999999 } do
  p(tostring(v), v .. "", string.format("%.14g", v))
end
p(tostring(0 / 0) == "nan" or tostring(0 / 0) == "-nan", tostring(nil), tostring(true), tostring("x"))
for _, s in ipairs { "10", " 10 ", "0x10", "1e1", "1e", "", " ", "0x", "0x1p4", "0x.8p1", "1.", ".5", ".", "1..2", "1e+5", "1e-5", "inf", "nan", "-inf", "infinity", "0b101", "0b2", "1 2", "1_000", "+5", "-5", "- 5", "--5", "5x", "\t5\n", "1e400", "-1e400", "1e-400", "12LL", "3i", "0x1ffffffffffffffff", "9007199254740993", "1\0", "0b", "1E5", "0X1F", "0x1.8", "0x1.8p", "1e5.0" } do
  p(("%q"):format(s), tostring(tonumber(s)))
end
for _, a in ipairs { { "10", 2 }, { "ff", 16 }, { "zz", 36 }, { "8", 8 }, { "-7", 8 }, { " 11 ", 2 }, { "1.5", 10 }, { "0x1f", 16 }, { "", 16 }, { "7fffffffffffffff", 16 }, { "ffffffffffffffffff", 16 }, { "1e1", 16 }, { 10, 16 }, { 10, 10 }, { "1", 1 }, { "1", 37 }, { {}, 16 }, { nil, 16 }, { "+a", 11 }, { "1 1", 2 }, { "-", 2 } } do
  p(a[1] and tostring(type(a[1]) == "table" and "t" or a[1]), a[2], pcall(tonumber, a[1], a[2]))
end
-- coercions
p("10" + 5, "0x10" * 2, 10 .. 20, "3" ^ 2, -"2", "10" / "4", "7" % "4", pcall(function() return "x" + 1 end), pcall(function() return {} .. "x" end))
p("a" < "b", "a" < "B", "" < "a", "a\0b" < "a\0c", "Z" < "a", pcall(function() return "a" < 1 end), pcall(function() return {} < {} end), pcall(function() return nil < 1 end))
p(#"\u{48}\u{20AC}\x41\z
   b\65\065\0651", "\u{10FFFF}" == "\244\143\191\191")
