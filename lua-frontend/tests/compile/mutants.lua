-- Functions whose dumps have been mutated: what the loader accepts must run without harm. `sources` and `rounds` are globals.
local seed = 1234567
local function random(limit)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return math.floor(seed / 65536) % limit + 1
end
local hidden = { os = true, io = true, debug = true, require = true, package = true, collectgarbage = true, print = true }
local accepted, refused = 0, 0
for round = 1, rounds do
  local original = load(sources[random(#sources)], "=m")
  if original then
    local bytes = { string.dump(original, round % 2 == 0):byte(1, -1) }
    for _ = 1, random(3) do
      local at = random(#bytes - 5) + 5
      local kind = random(4)
      if kind == 1 then bytes[at] = random(256) - 1
      elseif kind == 2 then bytes[at] = (bytes[at] + 1) % 256
      elseif kind == 3 then bytes[at] = bit.bxor(bytes[at], bit.lshift(1, random(8) - 1))
      else bytes[at] = bytes[random(#bytes - 5) + 5] end
    end
    local parts = {}
    for i = 1, #bytes do parts[i] = string.char(bytes[i]) end
    local env = setmetatable({}, { __index = function(_, k) if not hidden[k] then return _G[k] end end })
    local mutant = load(table.concat(parts), "=m", "b", env)
    if mutant then
      accepted = accepted + 1
      local co = coroutine.create(mutant)
      debug.sethook(function() error("stop") end, "", 5000)
      coroutine.resume(co, 1, "x", {}, function() end)
      debug.sethook()
    else
      refused = refused + 1
    end
  end
  if round % 100 == 0 then collectgarbage() end
end
return accepted, refused
