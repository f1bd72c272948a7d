{{- define "staging.labels" -}}
app.kubernetes.io/name: model-staging
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: modelyard
{{- end }}

{{- /* IAM names are those of the whole account: cluster, namespace and model are in it, so that none takes another's. */}}
{{- define "staging.identity" -}}
{{- $words := printf "%s-%s-%s" .cluster.prefix .cluster.name .name | trunc 48 | trimSuffix "-" | replace "_" "-" }}
{{- printf "%s-%s" $words (printf "%s/%s/%s/%s" .cluster.region .cluster.name .namespace .name | sha256sum | trunc 10) }}
{{- end }}

{{- define "staging.partition" -}}
{{- if hasPrefix "cn-" .region }}aws-cn{{ else if hasPrefix "us-gov-" .region }}aws-us-gov{{ else }}aws{{ end }}
{{- end }}
