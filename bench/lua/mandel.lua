local n, inside = tonumber(arg and arg[1]) or 300, 0
for py = 1, n do
  local ci = 2 * py / n - 1
  for px = 1, n do
    local cr, zr, zi, k = 2 * px / n - 1.5, 0, 0, 0
    while k < 50 and zr * zr + zi * zi < 4 do zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci k = k + 1 end
    if k == 50 then inside = inside + 1 end
  end
end
print(inside)
