{{- define "inference.labels" -}}
app.kubernetes.io/name: model-service
app.kubernetes.io/instance: {{ . | quote }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
modelyard.dev/service: {{ . | quote }}
{{- end }}

{{- /* The platform assigns the user where it has to: nothing but that it is not root is said there. */}}
{{- define "inference.podSecurity" -}}
runAsNonRoot: true
{{- if not .user.assigned }}
runAsUser: {{ .user.id }}
runAsGroup: {{ .user.id }}
fsGroup: {{ .user.id }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "inference.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* By this label the pods of one disk find each other: the loader, and who reads. */}}
{{- define "inference.claimLabel" -}}
claim.modelyard.dev/{{ .claim }}
{{- end }}

{{- /* One node mounts the disk: where it is mounted already, there the pod goes. */}}
{{- define "inference.oneNode" -}}
{{- if .oneNode }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchExpressions:
            - { key: {{ include "inference.claimLabel" . | quote }}, operator: Exists }
{{- end }}
{{- end }}

{{- /* Waits until the claim holds the model, complete and at this commit. */}}
{{- define "inference.waiting" -}}
name: waiting
image: {{ .service.waiting.image | quote }}
imagePullPolicy: IfNotPresent
command: [python, -m, generator.prestage.waiting]
args:
  - --path
  - {{ printf "/mnt/claim/%s" .service.model.folder | quote }}
  - --model
  - {{ .service.model.name | quote }}
  - --commit
  - {{ .service.model.commit | quote }}
  - --wait
  - {{ .seconds | toString | quote }}
env:
  - { name: HOME, value: /tmp }
resources:
  requests: { cpu: 50m, memory: 64Mi }
  limits: { cpu: 500m, memory: 128Mi }
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "inference.containerSecurity" . | nindent 2 }}
volumeMounts:
  - { name: kserve-pvc-source, mountPath: /mnt/claim, readOnly: true }
{{- end }}

{{- /* Not those of the pods that serve: nothing selects these. */}}
{{- define "inference.gateLabels" -}}
app.kubernetes.io/name: model-service-gate
app.kubernetes.io/instance: {{ . | quote }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
{{- end }}
