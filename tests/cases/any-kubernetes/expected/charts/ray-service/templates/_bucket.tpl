{{- /* The bucket of the cluster's region, of the cache, or of the cluster. The same file in every chart. */}}
{{- define "modelyard.bucket" -}}
{{- $found := .at.bucket | default .bucket }}
{{- if .at.regions }}
{{- $found = "" }}
{{- range .at.regions }}
{{- if eq .region $.region }}{{ $found = .bucket }}{{ end }}
{{- end }}
{{- $found = required (printf "the cache has no bucket in region %s, where the cluster is" .region) $found }}
{{- end }}
{{- required (printf "%s is empty" .from) $found }}
{{- end }}
