-- status.state is ACTIVE, IN_PROGRESS, FAILED, DELETING or ERROR (kro v0.9.3).
local health = { status = "Progressing", message = "waiting for kro" }
if obj.status ~= nil and obj.status.state ~= nil then
  health.message = obj.status.state
  if obj.status.state == "ACTIVE" then
    health.status = "Healthy"
  elseif obj.status.state == "ERROR" or obj.status.state == "FAILED" then
    health.status = "Degraded"
  end
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.status == "False" and condition.message ~= nil then
      health.message = condition.message
    end
  end
end
return health
