local band, bor, bxor, lshift, rshift, rol, tobit = bit.band, bit.bor, bit.bxor, bit.lshift, bit.rshift, bit.rol, bit.tobit
local h = 0x12345678
for i = 1, tonumber(arg and arg[1]) or 1500000 do
  h = bxor(h, i)
  h = tobit(rol(h, 5) + band(h, 0xffff) + lshift(band(h, 0xff), 3))
  h = bor(rshift(h, 1), band(i, 1))
end
print(h)
