{{/* Values that do not go together: all that is wrong is said at once. */}}
{{- define "viewfinder.check" -}}
{{- $wrong := list -}}
{{- $auth := .Values.auth -}}
{{- $key := include "viewfinder.hasKey" . -}}
{{- $database := include "viewfinder.hasDatabase" . -}}
{{- $several := or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) -}}
{{- $ownDisk := .Values.home.persistence.enabled -}}

{{- if not (or $key $auth.oidc.issuer $auth.insecure) -}}
{{- $wrong = append $wrong "nobody could get in: make a key, `kubectl create secret generic viewfinder-key --from-literal=key=$(openssl rand -hex 24)`, and set auth.existingSecret=viewfinder-key; or set auth.oidc, or auth.insecure=true behind a gateway that asks" -}}
{{- end -}}
{{- if and $auth.existingSecret $auth.key -}}
{{- $wrong = append $wrong "auth.existingSecret and auth.key: one of them" -}}
{{- end -}}
{{- if and $auth.key (lt (len $auth.key) 32) -}}
{{- $wrong = append $wrong "auth.key must be 32 characters or more" -}}
{{- end -}}
{{- if and $auth.insecure (or $key $auth.oidc.issuer) -}}
{{- $wrong = append $wrong "auth.insecure asks nobody for a key, and there is one: leave one of them out" -}}
{{- end -}}
{{- if ne (empty $auth.oidc.issuer) (empty $auth.oidc.audience) -}}
{{- $wrong = append $wrong "auth.oidc.issuer and auth.oidc.audience belong together" -}}
{{- end -}}

{{- if and .Values.database.existingSecret .Values.database.url -}}
{{- $wrong = append $wrong "database.existingSecret and database.url: one of them" -}}
{{- end -}}
{{- if and .Values.redis.existingSecret .Values.redis.url -}}
{{- $wrong = append $wrong "redis.existingSecret and redis.url: one of them" -}}
{{- end -}}
{{- if not (or $database .Values.stateless $ownDisk) -}}
{{- $wrong = append $wrong "there is no database: put the address of a PostgreSQL into a Secret, `kubectl create secret generic viewfinder-database --from-literal=url=postgresql://...`, and set database.existingSecret=viewfinder-database; or set home.persistence.enabled=true for one server with SQLite, or stateless=true for classification alone" -}}
{{- end -}}
{{- if and .Values.stateless (or $database $ownDisk .Values.worker.enabled) -}}
{{- $wrong = append $wrong "stateless means no database, no home.persistence and no worker" -}}
{{- end -}}
{{- if and $ownDisk (or $several .Values.worker.enabled) -}}
{{- $wrong = append $wrong "home.persistence is for one server: set replicaCount=1, autoscaling.enabled=false and worker.enabled=false, or use scratch" -}}
{{- end -}}
{{- if and .Values.worker.enabled (not $database) (not .Values.stateless) -}}
{{- $wrong = append $wrong "workers share a PostgreSQL with the servers: set database" -}}
{{- end -}}
{{- if and (or $several .Values.worker.enabled) (not .Values.stateless) (not $ownDisk) (not .Values.blobs.url) (not .Values.blobs.existingClaim) -}}
{{- $wrong = append $wrong "a job is accepted by one pod and worked on by another: set blobs.url=s3://bucket/prefix, or blobs.existingClaim to a volume that all may write to" -}}
{{- end -}}
{{- if and .Values.blobs.url .Values.blobs.existingClaim -}}
{{- $wrong = append $wrong "blobs.url and blobs.existingClaim: one of them" -}}
{{- end -}}
{{- if and .Values.modelStore.url .Values.modelStore.volume.enabled -}}
{{- $wrong = append $wrong "modelStore.url and modelStore.volume: one of them" -}}
{{- end -}}

{{- $needed := add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 7 -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $needed) -}}
{{- $wrong = append $wrong (printf "terminationGracePeriodSeconds=%d kills a server that still answers: with this drain it takes %d" (int .Values.terminationGracePeriodSeconds) (int $needed)) -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- $wrong = append $wrong "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .targetQueueDepth) -}}
{{- $wrong = append $wrong "autoscaling has nothing to go by: set one of its targets" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- $wrong = append $wrong "ingress.hosts is empty: name the host, ingress.hosts={photos.example.org}" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not $auth.insecure) (not .Values.metrics.serviceMonitor.keySecret.name) -}}
{{- $wrong = append $wrong "metrics are read with a key of the scope `read`: put one into a Secret, and set metrics.serviceMonitor.keySecret.name" -}}
{{- end -}}

{{- $given := dict -}}
{{- range $where, $names := dict "env" (keys .Values.env) "worker.env" (keys .Values.worker.env) -}}
{{- range $name := $names -}}
{{- $_ := set $given (printf "%s.%s" $where $name) $name -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if or (hasKey $.Values.env .name) (hasKey $.Values.worker.env .name) -}}
{{- $wrong = append $wrong (printf "%s is in env and in extraEnv" .name) -}}
{{- end -}}
{{- $_ := set $given (printf "extraEnv.%s" .name) .name -}}
{{- end -}}
{{- $instead := include "viewfinder.instead" . | fromYaml -}}
{{- range $path, $name := $given -}}
{{- if hasKey $instead $name -}}
{{- $wrong = append $wrong (printf "%s is set by the chart: use %s" $path (index $instead $name)) -}}
{{- end -}}
{{- end -}}

{{- if $wrong -}}
{{- fail (printf "\n\nThe values do not go together:\n - %s\n" (join "\n - " $wrong)) -}}
{{- end -}}
{{- end }}

{{/* Which value says what, of the environment that the chart writes itself. */}}
{{- define "viewfinder.instead" -}}
HOME: nothing, it is /tmp
VIEWFINDER_HOME: home
VIEWFINDER_PORT: service.port
VIEWFINDER_WORKER__PORT: nothing, it is 8001
VIEWFINDER_TRUSTED_PROXIES: trustedProxies
VIEWFINDER_AUTH__ENABLED: auth
VIEWFINDER_AUTH__BOOTSTRAP_KEY_FILE: auth.existingSecret
VIEWFINDER_AUTH__OIDC__ISSUER: auth.oidc.issuer
VIEWFINDER_AUTH__OIDC__AUDIENCE: auth.oidc.audience
VIEWFINDER_DATABASE__URL: database.existingSecret
VIEWFINDER_REDIS_URL: redis.existingSecret
VIEWFINDER_CACHE__REDIS_URL: redis.existingSecret
VIEWFINDER_MODEL_STORE: modelStore
VIEWFINDER_BLOBS__URL: blobs
VIEWFINDER_JOBS__RUN: worker.enabled
VIEWFINDER_DRAIN__DELAY_S: drain.delaySeconds
VIEWFINDER_DRAIN__TIMEOUT_S: drain.timeoutSeconds
VIEWFINDER_API_KEY: auth.existingSecret
AWS_ACCESS_KEY_ID: s3.existingSecret
AWS_SECRET_ACCESS_KEY: s3.existingSecret
AWS_REGION: s3.region
AWS_ENDPOINT_URL: s3.endpoint
{{- end }}
