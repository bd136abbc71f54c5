{{/* Fails on invalid combinations of values. */}}
{{- define "vaccel.check" -}}
{{- if and (eq .Values.kind "DaemonSet") (ne .Values.autoscaling.type "none") }}
{{- fail "autoscaling.type: a DaemonSet has one agent on each node and is not scaled; set kind: Deployment or autoscaling.type: none" }}
{{- end }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSeconds) (int .Values.agent.graceSeconds)) }}
{{- fail "terminationGracePeriodSeconds: must be at least preStopSeconds + agent.graceSeconds, or running calls are interrupted" }}
{{- end }}
{{- end }}

{{- define "vaccel.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "vaccel.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "vaccel.priorityClassName" -}}
{{- .Values.priorityClass.name | default (ternary (include "vaccel.fullname" .) "" .Values.priorityClass.create) -}}
{{- end }}

{{- define "vaccel.agentArgs" -}}
- -a
- tcp://{{ .Values.agent.listenHost }}:{{ .Values.service.port }}
{{- if .Values.grpc.enabled }}
- -a
- grpc://{{ .Values.agent.listenHost }}:{{ .Values.grpc.port }}
{{- end }}
- --metrics-address
- {{ printf "%s:%d" .Values.agent.listenHost (int .Values.metrics.port) | quote }}
- --models
- {{ .Values.models.path }}
{{- range .Values.agent.preload }}
- --preload
- {{ . | quote }}
{{- end }}
- --uploads
- {{ .Values.agent.uploads }}
- --device
- {{ .Values.agent.device }}
- --log-format
- {{ .Values.agent.logFormat }}
- --log-level
- {{ .Values.agent.logLevel }}
- --grace-s
- {{ .Values.agent.graceSeconds | quote }}
{{- range .Values.agent.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "vaccel.agentResources" -}}
{{- $limits := deepCopy .Values.resources.limits }}
{{- if .Values.gpu.enabled }}
{{- $_ := set $limits .Values.gpu.resource (.Values.gpu.count | toString) }}
{{- end -}}
requests:
  {{- toYaml .Values.resources.requests | nindent 2 }}
limits:
  {{- toYaml $limits | nindent 2 }}
{{- end }}

{{- define "vaccel.tolerations" -}}
{{- $all := .Values.tolerations }}
{{- if .Values.gpu.enabled }}
{{- $all = append $all (dict "key" .Values.gpu.resource "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- with $all }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "vaccel.updateStrategy" -}}
{{- if .Values.updateStrategy -}}
{{ toYaml .Values.updateStrategy }}
{{- else -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: {{ ternary 0 1 .Values.gpu.enabled }}
  maxUnavailable: {{ ternary 1 0 .Values.gpu.enabled }}
{{- end }}
{{- end }}

{{- define "vaccel.probe" -}}
httpGet:
  path: {{ . }}
  port: metrics
timeoutSeconds: 5
{{- end }}
