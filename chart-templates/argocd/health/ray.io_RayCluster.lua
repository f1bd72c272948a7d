-- Healthy when the head is ready; workers come and go with the autoscaler.
local health = { status = "Progressing", message = "waiting for the head" }
if obj.status ~= nil then
  if obj.status.state == "failed" then
    return { status = "Degraded", message = obj.status.reason or "failed" }
  end
  if obj.status.state == "suspended" then
    return { status = "Suspended", message = "suspended" }
  end
  if obj.status.state == "ready" then
    return { status = "Healthy", message = "the head is ready" }
  end
end
return health
