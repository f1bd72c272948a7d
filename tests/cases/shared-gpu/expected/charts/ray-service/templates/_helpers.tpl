{{- define "service.labels" -}}
app.kubernetes.io/name: model-service
app.kubernetes.io/instance: {{ . | quote }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
modelyard.dev/service: {{ . | quote }}
{{- end }}

{{- /* Without `uid` the platform gives pods their user and groups. */}}
{{- define "service.podSecurity" -}}
runAsNonRoot: true
{{- with .uid }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
{{- end }}
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
{{- range .mounts }}
- name: {{ .name | quote }}
  mountPath: {{ .mountPath | quote }}
  {{- with .subPath }}
  subPath: {{ . | quote }}
  {{- end }}
  readOnly: true
{{- end }}
- { name: code, mountPath: /opt/modelyard/code, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "service.volumes" -}}
{{- range .mounts }}
- name: {{ .name | quote }}
  persistentVolumeClaim:
    claimName: {{ .claim | quote }}
    readOnly: true
{{- end }}
- name: code
  configMap:
    name: {{ .code.configMap | quote }}
    optional: {{ eq .code.configMap "none" }}
- name: tmp
  emptyDir:
    sizeLimit: 10Gi
{{- end }}

{{- /* What stands for the bucket in serveConfigV2; a service without a volume of its own has no bucket. */}}
{{- define "service.bucket" -}}
{{- with .service.volume }}
{{- include "modelyard.bucket" (dict "at" . "bucket" $.cluster.bucket "region" $.cluster.region "from" "cluster.bucket") }}
{{- end }}
{{- end }}

{{- define "service.environment" -}}
- { name: HOME, value: /tmp }
- { name: USER, value: ray }
- { name: RAY_USAGE_STATS_ENABLED, value: "0" }
- { name: RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S, value: {{ .shutdown.drainSeconds | quote }} }
{{- end }}
