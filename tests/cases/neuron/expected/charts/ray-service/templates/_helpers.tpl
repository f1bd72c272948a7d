{{- define "service.labels" -}}
app.kubernetes.io/name: model-service
app.kubernetes.io/instance: {{ . | quote }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
modelyard.dev/service: {{ . | quote }}
{{- end }}

{{- define "service.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "service.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "service.mounts" -}}
- { name: models, mountPath: {{ .volume.mountPath | quote }}, readOnly: true }
- { name: code, mountPath: /opt/modelyard/code, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "service.volumes" -}}
- name: models
  persistentVolumeClaim:
    claimName: {{ printf "%s-models" .name | quote }}
    readOnly: true
- name: code
  configMap:
    name: {{ .service.code.configMap | quote }}
    optional: {{ eq .service.code.configMap "none" }}
- name: tmp
  emptyDir:
    sizeLimit: 10Gi
{{- end }}

{{- define "service.environment" -}}
- { name: HOME, value: /tmp }
- { name: USER, value: ray }
- { name: RAY_USAGE_STATS_ENABLED, value: "0" }
- { name: RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S, value: {{ .shutdown.drainSeconds | quote }} }
{{- end }}
