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

{{- /* Whether the model goes to a claim; empty for a bucket. */}}
{{- define "prestage.claimed" -}}
{{- if eq .model.target.type "pvc" }}yes{{ end }}
{{- end }}

{{- /* Where models lie as the program names it: a bucket, or the folder where the claim is mounted. */}}
{{- define "prestage.root" -}}
{{- if include "prestage.claimed" . }}/mnt/models{{ else }}s3://{{ include "prestage.bucket" . }}{{ end }}
{{- end }}

{{- /* The same for people: a folder of a pod says little. */}}
{{- define "prestage.place" -}}
{{- if include "prestage.claimed" . }}pvc://{{ .model.target.claim }}{{ else }}{{ include "prestage.root" . }}{{ end }}
{{- end }}

{{- /* Region that requests are signed for; a claim needs none. */}}
{{- define "prestage.region" -}}
{{- if .model.target.server }}{{ .model.target.server.region }}
{{- else if include "prestage.claimed" . }}{{ .values.region }}
{{- else }}{{ required "modelPrestage.region is empty" .values.region }}
{{- end }}
{{- end }}

{{- /* A Job is immutable: what only the cluster knows goes into its name too. */}}
{{- define "prestage.name" -}}
{{- $inputs := list .model.digest (include "prestage.place" .) (include "prestage.region" .) .values.image .values.serviceAccount .values.resources }}
{{- if .model.target.regions }}{{ $inputs = append $inputs (include "prestage.home" .) }}{{ end }}
{{- $inputs = append $inputs (list .model.target .model.tolerations .values.assignedUser .values.readersGroup) }}
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
    {{- with .model.target.claim }}
    {{ printf "claim.modelyard.dev/%s" . }}: ""
    {{- end }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ .values.serviceAccount | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 30
  securityContext:
    runAsNonRoot: true
    {{- if not .values.assignedUser }}
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: {{ ternary .values.readersGroup 65532 (eq .model.target.type "pvc") }}
    {{- end }}
    {{- if include "prestage.claimed" . }}
    fsGroupChangePolicy: OnRootMismatch
    {{- end }}
    seccompProfile: { type: RuntimeDefault }
  {{- if eq (.model.target.accessMode | default "") "ReadWriteOnce" }}
  {{- /* One node mounts the disk: where it is mounted already, there the pod goes. */}}
  affinity:
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchExpressions:
              - { key: {{ printf "claim.modelyard.dev/%s" .model.target.claim | quote }}, operator: Exists }
  {{- with .model.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  {{- end }}
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
    {{- with .model.target.claim }}
    - name: models
      persistentVolumeClaim:
        claimName: {{ . | quote }}
    {{- end }}
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
    {{- with .model.target.server }}
    - --endpoint-url
    - {{ .endpoint | quote }}
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
    {{- with include "prestage.region" . }}
    - name: AWS_REGION
      value: {{ . | quote }}
    {{- end }}
    {{- with .model.target.server }}
    {{- range $variable, $key := dict "AWS_ACCESS_KEY_ID" "access_key_id" "AWS_SECRET_ACCESS_KEY" "secret_access_key" }}
    - name: {{ $variable }}
      valueFrom:
        secretKeyRef:
          name: {{ $.model.target.server.secret | quote }}
          key: {{ $key }}
    {{- end }}
    {{- end }}
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
    {{- if include "prestage.claimed" . }}
    - { name: models, mountPath: /mnt/models }
    {{- end }}
{{- end }}
