local sqrt, PI = math.sqrt, math.pi
local M, D = 4 * PI * PI, 365.24
local bodies = {
  {x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, mass = M},
  {x = 4.84143144246472090, y = -1.16032004402742839, z = -0.103622044471123109, vx = 0.00166007664274403694 * D, vy = 0.00769901118419740425 * D, vz = -0.0000690460016972063023 * D, mass = 0.000954791938424326609 * M},
  {x = 8.34336671824457987, y = 4.12479856412430479, z = -0.403523417114321381, vx = -0.00276742510726411 * D, vy = 0.0049985280123492 * D, vz = 0.000023041729757 * D, mass = 0.00028588598066613 * M},
  {x = 12.8943695621391310, y = -15.1111514016986312, z = -0.223307578892655734, vx = 0.00296460137564761618 * D, vy = 0.0023784717395948095 * D, vz = -0.0000296589568540237556 * D, mass = 0.0000436624404335156298 * M},
  {x = 15.3796971148509165, y = -25.9193146099879641, z = 0.179258772950371181, vx = 0.00268067772490389322 * D, vy = 0.00162824170038242295 * D, vz = -0.000095159225451971587 * D, mass = 0.0000515138902046611451 * M},
}
local function advance(dt)
  local n = #bodies
  for i = 1, n do
    local b = bodies[i]
    local x, y, z, m, vx, vy, vz = b.x, b.y, b.z, b.mass, b.vx, b.vy, b.vz
    for j = i + 1, n do
      local c = bodies[j]
      local dx, dy, dz = x - c.x, y - c.y, z - c.z
      local d2 = dx * dx + dy * dy + dz * dz
      local mag = dt / (sqrt(d2) * d2)
      local f = c.mass * mag
      vx, vy, vz = vx - dx * f, vy - dy * f, vz - dz * f
      f = m * mag
      c.vx, c.vy, c.vz = c.vx + dx * f, c.vy + dy * f, c.vz + dz * f
    end
    b.vx, b.vy, b.vz = vx, vy, vz
    b.x, b.y, b.z = x + dt * vx, y + dt * vy, z + dt * vz
  end
end
for i = 1, tonumber(arg and arg[1]) or 200000 do advance(0.01) end
print(string.format("%.9f", bodies[1].x))
