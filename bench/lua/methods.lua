local Account = {} Account.__index = Account
function Account.new(b) return setmetatable({balance = b, log = 0}, Account) end
function Account:deposit(v) self.balance = self.balance + v self.log = self.log + 1 end
function Account:get() return self.balance end
local Limited = setmetatable({}, {__index = Account}) Limited.__index = Limited
function Limited:withdraw(v) if v > self:get() then return false end self.balance = self.balance - v return true end
local a, n = setmetatable(Account.new(100), Limited), 0
for i = 1, tonumber(arg and arg[1]) or 2000000 do
  a:deposit(10)
  if a:withdraw(7) then n = n + 1 end
end
print(a:get(), n)
