{{- define "lockstep.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lockstep.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "lockstep.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods: it never changes during the life of a release. */}}
{{- define "lockstep.selector" -}}
app.kubernetes.io/name: {{ include "lockstep.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lockstep.labels" -}}
{{ include "lockstep.selector" . }}
app.kubernetes.io/part-of: lockstep
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Name, labels and annotations of an object. Of: the root, a name or a suffix of it, labels and annotations. */}}
{{- define "lockstep.metadata" -}}
{{- $root := .root -}}
name: {{ .name | default (printf "%s%s" (include "lockstep.fullname" $root) (.suffix | default "")) }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "lockstep.labels" $root | nindent 2 }}
  {{- with merge dict (.labels | default dict) $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict (.annotations | default dict) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "lockstep.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lockstep.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lockstep.secret" -}}
{{- default (include "lockstep.fullname" .) .Values.existingSecret -}}
{{- end -}}

{{- define "lockstep.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The settings, with those that follow from other values. Those of the values win. */}}
{{- define "lockstep.settings" -}}
{{- $made := dict -}}
{{- range $key, $name := dict "secret" "SECRET_FILE" "pubsubUrl" "PUBSUB_URL_FILE" "storeUrl" "STORE_URL_FILE" "opsToken" "OPS_TOKEN_FILE" -}}
{{- with index $.Values.secretKeys $key -}}
{{- $_ := set $made $name (printf "/run/secrets/lockstep/%s" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.hosts -}}{{- $_ := set $made "HOSTS" (join "," .) -}}{{- end -}}
{{- with .Values.basePath -}}{{- $_ := set $made "BASE_PATH" . -}}{{- end -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $made "TLS_CERT" "/run/tls/tls.crt" -}}
{{- $_ := set $made "TLS_KEY" "/run/tls/tls.key" -}}
{{- end -}}
{{- range $name, $value := mergeOverwrite $made .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ ternary (int64 $value) $value (kindIs "float64" $value) | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The names that a Gateway leads from, as JSON in a dict. */}}
{{- define "lockstep.hostnames" -}}
{{- dict "names" (.Values.gateway.hostnames | default .Values.hosts) | toJson -}}
{{- end -}}

{{/* The hosts of an Ingress with their paths, as JSON in a dict. */}}
{{- define "lockstep.ingressHosts" -}}
{{- $hosts := .Values.ingress.hosts -}}
{{- if not $hosts -}}
{{- range .Values.hosts -}}
{{- $hosts = append $hosts (dict "host" . "paths" (list (dict "path" ($.Values.basePath | default "/")))) -}}
{{- end -}}
{{- end -}}
{{- dict "hosts" $hosts | toJson -}}
{{- end -}}

{{/* A probe, with the scheme that the program speaks. Of: the root and the probe. */}}
{{- define "lockstep.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- if $probe.httpGet -}}
{{- $_ := set $probe.httpGet "scheme" ($probe.httpGet.scheme | default (ternary "HTTPS" "HTTP" .root.Values.tls.enabled)) -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{/* What can't be right is said before anything is installed. */}}
{{- define "lockstep.check" -}}
{{- $drain := .Values.settings.DRAIN | default "5s" | toString -}}
{{- $wait := ((((.Values.lifecycle).preStop).sleep).seconds) | default 0 -}}
{{- if regexMatch "^[0-9]+s$" $drain -}}
{{- $need := add (int $wait) (trimSuffix "s" $drain | int) 10 -}}
{{- if le (int .Values.terminationGracePeriodSeconds) $need -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: preStop, DRAIN and 10 s more take %d s, and a replica would be killed before it has drained" (int .Values.terminationGracePeriodSeconds) $need) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.existingSecret .Values.secretValues -}}
{{- fail "existingSecret and secretValues: the Secret is there, or the chart makes it" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.create) (not .Values.gateway.parentRefs) -}}
{{- fail "gateway.enabled needs gateway.parentRefs, the Gateway to attach the route to, or gateway.create" -}}
{{- end -}}
{{- if and .Values.gateway.enabled .Values.gateway.create (not .Values.gateway.hostnames) (not .Values.hosts) -}}
{{- fail "gateway.create needs gateway.hostnames, or hosts: its listeners are for names" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) (not .Values.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts, or hosts" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- fail "podMonitor and serviceMonitor: one of them, or all is counted twice" -}}
{{- end -}}
{{- end -}}
