-- status.state is Active or Inactive (kro v0.9.3).
local health = { status = "Progressing", message = "waiting for kro" }
if obj.status ~= nil and obj.status.state ~= nil then
  if obj.status.state == "Active" then
    return { status = "Healthy", message = "instances can be made" }
  end
  health = { status = "Degraded", message = obj.status.state }
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.status == "False" and condition.message ~= nil then
      health.message = condition.message
    end
  end
end
return health
