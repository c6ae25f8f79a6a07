-- Counters up, down, by variable steps, in fractions, round the limits of 32 bits, and with limits that are no integers.
local function sum(a, b, c) local s, n = 0, 0 for i = a, b, c do s = s + i n = n + 1 end return s, n end
for _ = 1, 3 do
  print(sum(1, 100, 1), sum(100, 1, -1), sum(1, 100, 7), sum(0, 1, 0.01))
  print(sum(2147483600, 2147483647, 1), sum(-2147483600, -2147483648, -1), sum(2147483600, 2147483700, 3))
  print(sum(1, 2.5, 1), sum(1.5, 80, 1), sum(-0.0, 60, 1), sum(1, 1e15, 1e13), sum(5, 1, 1))
end
local flags, count = {}, 0
for i = 2, 500 do flags[i] = true end
for i = 2, 500 do
  if flags[i] then for k = i + i, 500, i do flags[k] = false end count = count + 1 end
end
print(count)
-- Leaving in the middle, and going on with the next.
for round = 1, 5 do
  local i = 0
  while true do
    i = i + 1
    if i % 2 == 0 then goto continue end
    if i > 60 + round then break end
    count = count + i
    ::continue::
  end
  repeat i = i - 1 until i < round
  print(i, count)
end
