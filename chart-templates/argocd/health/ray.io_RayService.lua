-- Healthy when the condition Ready says so (KubeRay v1.7.0 rayservice_types.go).
local health = { status = "Progressing", message = "waiting for the Ray cluster" }
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Ready" then
      health.message = condition.message
      if condition.status == "True" then
        health.status = "Healthy"
      end
    end
    if condition.type == "Suspended" and condition.status == "True" then
      return { status = "Suspended", message = condition.message }
    end
  end
end
return health
