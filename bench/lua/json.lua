local function encode(v, out)
  local t = type(v)
  if t == "table" then
    if #v > 0 then
      out[#out + 1] = "["
      for i = 1, #v do if i > 1 then out[#out + 1] = "," end encode(v[i], out) end
      out[#out + 1] = "]"
    else
      out[#out + 1] = "{"
      local first = true
      for _, k in ipairs(v.__keys or {}) do
        if not first then out[#out + 1] = "," end
        first = false
        out[#out + 1] = '"' .. k .. '":'
        encode(v[k], out)
      end
      out[#out + 1] = "}"
    end
  elseif t == "string" then out[#out + 1] = '"' .. v:gsub('[%c"]', "") .. '"'
  else out[#out + 1] = tostring(v) end
end
local doc = {__keys = {"id", "tags", "sub"}, id = 1, tags = {"a", "b", "c", 1.5, true}, sub = {__keys = {"x", "y"}, x = {1, 2, 3}, y = "text"}}
local n = 0
for i = 1, tonumber(arg and arg[1]) or 30000 do local out = {} doc.id = i encode(doc, out) n = n + #table.concat(out) end
print(n)
