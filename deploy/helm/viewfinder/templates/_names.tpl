{{/* Names and labels. */}}

{{- define "viewfinder.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* Of the release: short enough for what is put behind it. */}}
{{- define "viewfinder.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "viewfinder.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What never changes: selectors. Takes (list $ "server"). */}}
{{- define "viewfinder.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "viewfinder.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels. Takes (list $ "server"). */}}
{{- define "viewfinder.labels" -}}
{{- $root := index . 0 -}}
{{ include "viewfinder.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "viewfinder.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "viewfinder.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "viewfinder.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{/* Secrets: those that are named, or else those that the chart makes. */}}
{{- define "viewfinder.keySecret" -}}
{{- default (printf "%s-key" (include "viewfinder.fullname" .)) .Values.auth.existingSecret -}}
{{- end }}

{{- define "viewfinder.databaseSecret" -}}
{{- default (include "viewfinder.fullname" .) .Values.database.existingSecret -}}
{{- end }}

{{- define "viewfinder.redisSecret" -}}
{{- default (include "viewfinder.fullname" .) .Values.redis.existingSecret -}}
{{- end }}

{{- define "viewfinder.modelsClaim" -}}
{{- default (printf "%s-models" (include "viewfinder.fullname" .)) .Values.modelStore.volume.existingClaim -}}
{{- end }}

{{- define "viewfinder.homeClaim" -}}
{{- default (printf "%s-home" (include "viewfinder.fullname" .)) .Values.home.persistence.existingClaim -}}
{{- end }}

{{/* Whether there is one: "true", or nothing. */}}
{{- define "viewfinder.hasKey" -}}
{{- if or .Values.auth.existingSecret .Values.auth.key }}true{{ end -}}
{{- end }}

{{- define "viewfinder.hasDatabase" -}}
{{- if or .Values.database.existingSecret .Values.database.url }}true{{ end -}}
{{- end }}

{{- define "viewfinder.hasRedis" -}}
{{- if or .Values.redis.existingSecret .Values.redis.url }}true{{ end -}}
{{- end }}
