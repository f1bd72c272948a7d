{{- define "prestage.labels" -}}
app.kubernetes.io/name: model-prestage
app.kubernetes.io/component: model-prestage
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
{{- end }}

{{- define "prestage.bucket" -}}
{{- include "modelyard.bucket" (dict "at" .model.target "bucket" .values.s3Bucket "region" .values.region "from" "modelPrestage.s3Bucket") }}
{{- end }}

{{- /* Where a model is replicated from; empty where it comes from the Hub. */}}
{{- define "prestage.home" -}}
{{- with .model.target.regions }}
{{- $home := first . }}
{{- if ne $home.region $.values.region }}{{ $home.bucket }}{{ end }}
{{- end }}
{{- end }}

{{- /* A Job is immutable: what only the cluster knows goes into its name too. */}}
{{- define "prestage.name" -}}
{{- $inputs := list .model.digest (include "prestage.bucket" .) .values.region .values.image .values.serviceAccount .values.resources }}
{{- if .model.target.regions }}{{ $inputs = append $inputs (include "prestage.home" .) }}{{ end }}
{{- printf "prestage-%s-%s" .name (toJson $inputs | sha256sum | trunc 10) }}
{{- end }}

{{- /* How often a pod is tried again, and what a retry cannot mend. */}}
{{- define "prestage.failures" -}}
backoffLimit: {{ .values.backoffLimit }}
activeDeadlineSeconds: {{ int64 .model.deadlineSeconds }}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    # A retry would end the same way.
    - action: FailJob
      onExitCodes:
        {{- /* With a load test there are two containers, and the rule is for both. */}}
        {{- if not .model.loadTest }}
        containerName: {{ .container }}
        {{- end }}
        operator: In
        values: {{ .values.permanentExitCodes | toJson }}
    # A drained node is nobody's fault.
    - action: Ignore
      onPodConditions:
        - { type: DisruptionTarget, status: "True" }
{{- end }}

{{- /* The pod of one or two containers: each has a name, a module and its arguments. The first of two tells failures. */}}
{{- define "prestage.pod" -}}
metadata:
  labels:
    {{- include "prestage.labels" . | nindent 4 }}
    app.kubernetes.io/instance: {{ .name | quote }}
    modelyard.dev/model: {{ .name | quote }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ .values.serviceAccount | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 30
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: { type: RuntimeDefault }
  {{- with initial .containers }}
  initContainers:
    {{- range . }}
    {{- include "prestage.container" (merge (dict "container" . "tell" (list "--tell" "failures")) $) | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    {{- include "prestage.container" (merge (dict "container" (last .containers) "tell" list) .) | nindent 4 }}
  volumes:
    - name: plan
      configMap:
        name: {{ .object | quote }}
    - name: tmp
      emptyDir:
        sizeLimit: 128Mi
{{- end }}

{{- define "prestage.container" -}}
- name: {{ .container.name }}
  image: {{ required "modelPrestage.image is empty" .values.image | quote }}
  imagePullPolicy: IfNotPresent
  command: [python, -m, {{ .container.module }}]
  args:
    {{- range .container.args }}
    - {{ . | quote }}
    {{- end }}
    {{- with .values.notify.snsTopic }}
    - --notify-sns
    - {{ . | quote }}
    {{- end }}
    {{- if or .values.notify.snsTopic .values.notify.webhook.name }}
    {{- range .tell }}
    - {{ . | quote }}
    {{- end }}
    {{- end }}
    {{- with .values.pushGateway }}
    {{- if .service }}
    - --push-gateway
    - {{ printf "http://%s.%s.svc:%d" .service .namespace (int .port) | quote }}
    {{- end }}
    {{- end }}
  env:
    - name: AWS_REGION
      value: {{ required "modelPrestage.region is empty" .values.region | quote }}
    - name: HF_HUB_DISABLE_TELEMETRY
      value: "1"
    - name: HOME
      value: /tmp
    {{- with .model.tokenSecret }}
    - name: HF_TOKEN
      valueFrom:
        secretKeyRef:
          name: {{ .name | quote }}
          key: {{ .key | quote }}
    # For the hint when the Hub refuses.
    - name: MODELYARD_TOKEN_SECRET
      value: {{ .name | quote }}
    {{- end }}
    {{- with .values.notify.webhook }}
    {{- if .name }}
    - name: MODELYARD_WEBHOOK_URL
      valueFrom:
        secretKeyRef:
          name: {{ .name | quote }}
          key: {{ .key | quote }}
    {{- end }}
    {{- end }}
  resources:
    requests:
      cpu: {{ .values.resources.cpu | quote }}
      memory: {{ .values.resources.memory | quote }}
      ephemeral-storage: {{ .values.resources.ephemeralStorage | quote }}
    limits:
      cpu: {{ .values.resources.cpu | quote }}
      memory: {{ .values.resources.memory | quote }}
      ephemeral-storage: {{ .values.resources.ephemeralStorage | quote }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    runAsNonRoot: true
    capabilities: { drop: [ALL] }
  volumeMounts:
    - { name: plan, mountPath: /etc/modelyard/prestage, readOnly: true }
    - { name: tmp, mountPath: /tmp }
{{- end }}
