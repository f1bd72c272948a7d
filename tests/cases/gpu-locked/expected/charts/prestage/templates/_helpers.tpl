{{- define "prestage.labels" -}}
app.kubernetes.io/name: model-prestage
app.kubernetes.io/component: model-prestage
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
{{- end }}

{{- /* A Job is immutable: what only the cluster knows goes into its name too. */}}
{{- define "prestage.name" -}}
{{- $bucket := .model.target.bucket | default .values.s3Bucket }}
{{- $inputs := list .model.digest $bucket .values.region .values.image .values.serviceAccount .values.resources }}
{{- printf "prestage-%s-%s" .name (toJson $inputs | sha256sum | trunc 10) }}
{{- end }}
