{{- /* What a service with secrets from Azure Key Vault adds; each is empty for a service without. */}}
{{- define "keyVault.name" -}}
{{- printf "%s-key-vault" . }}
{{- end }}

{{- define "keyVault.annotation" -}}
{{- with .keyVault }}azure.workload.identity/client-id: {{ .client | quote }}{{ end }}
{{- end }}

{{- define "keyVault.label" -}}
{{- if .keyVault }}azure.workload.identity/use: "true"{{ end }}
{{- end }}

{{- /* The driver makes the Secrets as long as a pod mounts the volume. */}}
{{- define "keyVault.mount" -}}
{{- if .keyVault }}- { name: key-vault, mountPath: /mnt/key-vault, readOnly: true }{{ end }}
{{- end }}

{{- define "keyVault.volume" -}}
{{- if .service.keyVault -}}
- name: key-vault
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes:
      secretProviderClass: {{ include "keyVault.name" .name | quote }}
{{- end }}
{{- end }}

{{- /* The driver takes a text of YAML that holds texts of YAML. */}}
{{- define "keyVault.objects" -}}
{{- $texts := list }}
{{- range . }}{{ $texts = append $texts (toYaml .) }}{{ end }}
{{- dict "array" $texts | toYaml }}
{{- end }}
