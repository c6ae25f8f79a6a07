-- Patterns: every construct, every error.
local function p(...) print(...) end
local subjects = { "", "hello world", "THE (quick) fox", "key = value", "a.b.c", "  trim  ", "x=1, y=2", "((a)(b))", "aaa", "\0a\0", "2024-01-15", "foo123bar", "[link](url)", "%d%%", "tab\tnew\nline" }
local patterns = { "", ".", "a", "a*", "a+", "a-", "a?", "^a", "a$", "^$", "%a+", "%d+", "%s*", "%w+", "(%w+)", "(%w+)%s*=%s*(%w+)", "%b()", "%f[%w]%w+", "%f[%W]", "[abc]+", "[^abc]+", "[a-z]+", "[%w_]+", "[]]", "[^]]", "[a-]", "[%-a]", "()", "()a()", "(a)(b)?", "(.)%1", "((a)b)", "%.", "%%", "[%a%d]+", ".-o", ".*o", "o.*", "^%s*(.-)%s*$", "%z", "%Z+", "[%z]", "%x+", "%u+", "%l+", "%p+", "%c", "%g+", "(%d+)-(%d+)-(%d+)", "%b[]", "[^%s]+", "\0", "a\0", ".-", "(.-)(%w+)$", "$", "^", "x^y", "a$b", "%A", "%D+", "%S+", "%W+", "%L", "%U", "%P+", "%X+", "%G+", "%C+" }
for _, s in ipairs(subjects) do
  for _, pat in ipairs(patterns) do
    p(("%q %q"):format(s, pat), s:find(pat))
    p(s:match(pat))
    p(s:gsub(pat, "<%0>"))
    local t = {}
    for a, b in s:gmatch(pat) do t[#t + 1] = tostring(a) .. "/" .. tostring(b) end
    p(#t, table.concat(t, " "))
  end
end
-- init, plain
for i = -13, 13, 2 do p(i, ("hello world"):find("o", i), ("hello world"):match("%w+", i), ("hello world"):find("l", i, true)) end
p(("a.b"):find(".", 1, true), ("a.b"):find("%.", 1, true), ("a+b"):find("+", 1, true), ("x"):find("", 1, true), ("x"):find("", 10, true), ("x"):find("", 10), (""):find(""), ("abc"):find("b", -1), ("abc"):find("b", -2))
p(("a\0b"):find("\0"), ("a\0b"):find("b", 1, true), ("a\0bc"):match("b."))
-- errors
for _, pat in ipairs { "%", "[", "[a", "[]", "[^]", "(", ")", "a)", "(a", "%1", "(%1)", "%f", "%fa", "%b", "%bx", "[a-", "[%", "(()", "%2", "(a)%2", "a%", "[%a-" } do
  p(pat, pcall(string.find, "abc", pat))
  p(pat, pcall(string.match, "abc", pat))
  p(pat, pcall(string.gsub, "abc", pat, ""))
  p(pat, pcall(function() for x in ("abc"):gmatch(pat) do end end))
end
p(pcall(string.find, "a", ("(a)"):rep(33)))
p(pcall(string.find, ("a"):rep(40), ("(a)"):rep(33)))
p(pcall(string.find, ("a"):rep(40), ("(a)"):rep(32)))
p(pcall(string.find, ("a"):rep(300), ("a?"):rep(300)))
p(pcall(string.rep, "x", -1), pcall(string.match, ("a"):rep(3000), ".-b"), pcall(string.match, ("a"):rep(300), ("(.)"):rep(31) .. ".*"))
p(pcall(string.find, ("x"):rep(1000), ("x*"):rep(199)), pcall(string.find, ("x"):rep(1000), ("x*"):rep(250)))
-- gsub
p(("hello world"):gsub("o", "0"), ("hello world"):gsub("o", "0", 1), ("hello"):gsub("", "-"), ("hello"):gsub("l", { l = "L" }), ("hello"):gsub(".", { h = 1, l = false }))
p(pcall(string.gsub, "hello", ".", { h = {} }), pcall(string.gsub, "hello", ".", function() return {} end), pcall(string.gsub, "hello", ".", function() return true end))
p(("hello world"):gsub("%w+", function(w) return w:upper() end), ("abc"):gsub("(a)(b)(c)", "%3%2%1%0"), ("abc"):gsub("b", "%%"), pcall(string.gsub, "abc", "b", "%1"), pcall(string.gsub, "abc", "b", "%2"), pcall(string.gsub, "abc", "b", "%x"), pcall(string.gsub, "abc", "b", "x%"))
p(("abc"):gsub("%w", "%0%0"), ("abc"):gsub("()", "%1"), ("a,b"):gsub(",", setmetatable({}, { __index = function(_, k) return "<" .. k .. ">" end })))
p(pcall(string.gsub), pcall(string.gsub, "x"), pcall(string.gsub, "x", "x"), pcall(string.gsub, "x", "x", nil), pcall(string.gsub, "x", "x", true), pcall(string.gsub, "x", "x", "y", {}), ("x"):gsub("x", 5), ("xx"):gsub("x", "y", -1), ("xx"):gsub("x", "y", 0), ("xx"):gsub("^x", "y"), ("abc"):gsub("b*", "-"))
p(pcall(string.gsub, "abc", ".", error), select("#", ("abc"):gsub("", "")), ("abc def"):gsub("%f[%w]%w", string.upper))
for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do io.write(k, v, ";") end
for k in ("one two"):gmatch("%a+") do io.write(k, ";") end
for a, b in ("abc"):gmatch("()(.)") do io.write(a, b, ";") end
for x in ("abc"):gmatch("") do io.write("[", x, "]") end
for x in ("abab"):gmatch("^a") do io.write("<", x, ">") end
p()
local it = ("a b"):gmatch("%a")
p(it(), it(), it(), it())
