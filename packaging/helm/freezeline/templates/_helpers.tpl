{{- define "freezeline.labels" -}}
app.kubernetes.io/name: freezeline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "freezeline.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}
{{- define "freezeline.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "freezeline.policies" -}}
{{- default (printf "%s-policies" .Release.Name) .Values.policies.existingConfigMap -}}
{{- end }}
