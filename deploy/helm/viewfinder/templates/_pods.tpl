{{/* What pods have in common. Each takes (list $ "server") or (list $ "worker"). */}}

{{/* The environment that is no secret, as a map; env of the values is stronger. */}}
{{- define "viewfinder.plain" -}}
{{- $component := index . 1 -}}
{{- with (index . 0).Values -}}
HOME: /tmp
VIEWFINDER_HOME: /var/lib/viewfinder
VIEWFINDER_HOST: 0.0.0.0
VIEWFINDER_LOG__FORMAT: json
{{- if eq $component "server" }}
VIEWFINDER_PORT: "8000"
VIEWFINDER_DRAIN__DELAY_S: {{ .drain.delaySeconds | quote }}
VIEWFINDER_DRAIN__TIMEOUT_S: {{ .drain.timeoutSeconds | quote }}
VIEWFINDER_JOBS__RUN: {{ not .worker.enabled | quote }}
{{- with .trustedProxies }}
VIEWFINDER_TRUSTED_PROXIES: {{ join "," . | quote }}
{{- end }}
{{- else }}
VIEWFINDER_WORKER__PORT: "8001"
{{- end }}
{{- if .stateless }}
VIEWFINDER_RECORD: none
{{- end }}
VIEWFINDER_AUTH__ENABLED: {{ not .auth.insecure | quote }}
{{- if or .auth.existingSecret .auth.key }}
VIEWFINDER_AUTH__BOOTSTRAP_KEY_FILE: /run/secrets/viewfinder/key
{{- end }}
{{- with .auth.oidc }}
{{- if .issuer }}
VIEWFINDER_AUTH__OIDC__ISSUER: {{ .issuer | quote }}
VIEWFINDER_AUTH__OIDC__AUDIENCE: {{ .audience | quote }}
{{- end }}
{{- end }}
{{- if .modelStore.volume.enabled }}
VIEWFINDER_MODEL_STORE: /models
{{- else if .modelStore.url }}
VIEWFINDER_MODEL_STORE: {{ .modelStore.url | quote }}
{{- end }}
{{- if .blobs.existingClaim }}
VIEWFINDER_BLOBS__URL: /blobs
{{- else if .blobs.url }}
VIEWFINDER_BLOBS__URL: {{ .blobs.url | quote }}
{{- end }}
{{- with .s3.region }}
AWS_REGION: {{ . | quote }}
{{- end }}
{{- with .s3.endpoint }}
AWS_ENDPOINT_URL: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The environment of a container. */}}
{{- define "viewfinder.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $all := include "viewfinder.plain" . | fromYaml -}}
{{- $all = mergeOverwrite $all (deepCopy $root.Values.env) -}}
{{- if eq $component "worker" -}}
{{- $all = mergeOverwrite $all (deepCopy $root.Values.worker.env) -}}
{{- end -}}
{{- range $name, $value := $all }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- include "viewfinder.databaseEnv" $root }}
{{- with $root.Values }}
{{- if or .redis.existingSecret .redis.url }}
{{- range $name := ternary (list "VIEWFINDER_REDIS_URL" "VIEWFINDER_CACHE__REDIS_URL") (list "VIEWFINDER_REDIS_URL") .redis.cache }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "viewfinder.redisSecret" $root }}
      key: {{ ternary $root.Values.redis.secretKey "redis-url" (not (empty $root.Values.redis.existingSecret)) }}
{{- end }}
{{- end }}
{{- if .s3.existingSecret }}
{{- range $name := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $root.Values.s3.existingSecret }}
      key: {{ $name }}
{{- end }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The address of the database; takes $. */}}
{{- define "viewfinder.databaseEnv" -}}
{{- if include "viewfinder.hasDatabase" . }}
- name: VIEWFINDER_DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ include "viewfinder.databaseSecret" . }}
      key: {{ ternary .Values.database.secretKey "database-url" (not (empty .Values.database.existingSecret)) }}
{{- end }}
{{- end }}

{{- define "viewfinder.annotations" -}}
{{- $root := index . 0 -}}
{{- if or $root.Values.database.url $root.Values.redis.url }}
checksum/secret: {{ include (print $root.Template.BasePath "/secret.yaml") $root | sha256sum }}
{{- end }}
{{- $annotations := deepCopy $root.Values.podAnnotations }}
{{- if and (eq (index . 1) "worker") (hasKey $annotations "prometheus.io/port") }}
{{- $annotations = set $annotations "prometheus.io/port" "8001" }}
{{- end }}
{{- with $annotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Everything in a pod but its containers and its time to stop. */}}
{{- define "viewfinder.pod" -}}
{{- $root := index . 0 -}}
{{- with $root.Values -}}
serviceAccountName: {{ include "viewfinder.serviceAccountName" $root }}
automountServiceAccountToken: false
# Or a Service called viewfinder would set VIEWFINDER_PORT.
enableServiceLinks: false
securityContext:
  {{- toYaml .podSecurityContext | nindent 2 }}
{{- with .imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  - name: home
    {{- if and .home.persistence.enabled (eq (index $ 1) "server") }}
    persistentVolumeClaim:
      claimName: {{ include "viewfinder.homeClaim" $root }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ .home.sizeLimit }}
    {{- end }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ .tmp.sizeLimit }}
  {{- if include "viewfinder.hasKey" $root }}
  - name: key
    secret:
      secretName: {{ include "viewfinder.keySecret" $root }}
      defaultMode: 0440
      items:
        - key: {{ ternary .auth.secretKey "key" (not (empty .auth.existingSecret)) }}
          path: key
  {{- end }}
  {{- if .modelStore.volume.enabled }}
  - name: models
    persistentVolumeClaim:
      claimName: {{ include "viewfinder.modelsClaim" $root }}
      readOnly: {{ .modelStore.volume.readOnly }}
  {{- end }}
  {{- with .blobs.existingClaim }}
  - name: blobs
    persistentVolumeClaim:
      claimName: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "viewfinder.mounts" -}}
{{- $root := index . 0 -}}
{{- with $root.Values -}}
- name: home
  mountPath: /var/lib/viewfinder
- name: tmp
  mountPath: /tmp
{{- if include "viewfinder.hasKey" $root }}
- name: key
  mountPath: /run/secrets/viewfinder
  readOnly: true
{{- end }}
{{- if .modelStore.volume.enabled }}
- name: models
  mountPath: /models
  {{- with .modelStore.volume.subPath }}
  subPath: {{ . }}
  {{- end }}
  readOnly: {{ .modelStore.volume.readOnly }}
{{- end }}
{{- if .blobs.existingClaim }}
- name: blobs
  mountPath: /blobs
{{- end }}
{{- end }}
{{- end }}

{{/* Image and security of a container; takes $. */}}
{{- define "viewfinder.container" -}}
image: {{ include "viewfinder.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* Waiting before SIGTERM: by the kubelet where it can (1.30), else by the image's sleep. Takes $. */}}
{{- define "viewfinder.sleep" -}}
{{- if .Values.preStopSleepSeconds }}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}
    sleep:
      seconds: {{ .Values.preStopSleepSeconds }}
    {{- else }}
    exec:
      command: [sleep, {{ .Values.preStopSleepSeconds | quote }}]
    {{- end }}
{{- end }}
{{- end }}
