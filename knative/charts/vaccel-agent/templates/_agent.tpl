{{- define "vaccel.trafficDistribution" -}}
{{- if ne .Values.service.trafficDistribution "auto" -}}
{{- .Values.service.trafficDistribution -}}
{{- else -}}
{{- ternary "PreferSameNode" "PreferClose" (eq (include "vaccel.has" (list . "1.34" "PreferSameTrafficDistribution")) "true") -}}
{{- end -}}
{{- end }}

{{- define "vaccel.rpcPorts" -}}
- name: vaccel-agent
  port: {{ .Values.service.port }}
  protocol: TCP
  targetPort: rpc
{{- if .Values.grpc.enabled }}
- name: grpc
  port: {{ .Values.grpc.port }}
  protocol: TCP
  targetPort: grpc
  appProtocol: kubernetes.io/h2c
{{- end }}
{{- end }}

{{/* The spec of a claim's template. Call with an entry of resourceClaims. */}}
{{- define "vaccel.claimSpec" -}}
devices:
  requests:
    - name: device
      {{- if .firstAvailable }}
      firstAvailable:
        {{- range .firstAvailable }}
        - name: {{ .name }}
          {{- include "vaccel.deviceRequest" . | nindent 10 }}
        {{- end }}
      {{- else }}
      exactly:
        {{- include "vaccel.deviceRequest" . | nindent 8 }}
      {{- end }}
  {{- with .config }}
  config:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "vaccel.deviceRequest" -}}
deviceClassName: {{ .deviceClassName }}
allocationMode: ExactCount
count: {{ .count | default 1 }}
{{- with .selectors }}
selectors:
  {{- range . }}
  - cel:
      expression: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .capacity }}
capacity:
  requests:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{/* A template cannot be changed: another spec has another name. Call with (list $ claim). */}}
{{- define "vaccel.claimTemplateName" -}}
{{- $root := index . 0 }}{{ $claim := index . 1 -}}
{{- if $claim.templateName -}}
{{- $claim.templateName -}}
{{- else -}}
{{- printf "%s-%s-%s" (include "vaccel.fullname" $root | trunc 40) $claim.name (include "vaccel.claimSpec" $claim | sha256sum | trunc 8) -}}
{{- end -}}
{{- end }}

{{/* Annotations by which Cluster Autoscaler and Karpenter leave a pod's node alone. */}}
{{- define "vaccel.podAnnotations" -}}
{{- $keep := dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false" "karpenter.sh/do-not-disrupt" "true" -}}
{{- with mergeOverwrite (ternary (dict) $keep .Values.safeToEvict) .Values.podAnnotations }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "vaccel.topologySpread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (merge (dict "app.kubernetes.io/component" "agent") (include "vaccel.selectorLabels" . | fromYaml))) -}}
{{- range .Values.topologySpreadConstraints }}
- {{ toYaml (merge (deepCopy .) (deepCopy $own)) | nindent 2 | trim }}
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
{{- if .Values.models.aliases }}
- --aliases
- /etc/vaccel/aliases.json
{{- end }}
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
{{- with .Values.resourceClaims }}
claims:
  {{- range . }}
  - name: {{ .name }}
  {{- end }}
{{- end }}
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
{{- $device := or .Values.gpu.enabled (not (empty .Values.resourceClaims)) -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: {{ ternary 0 1 $device }}
  maxUnavailable: {{ ternary 1 0 $device }}
{{- end }}
{{- end }}

{{- define "vaccel.probe" -}}
httpGet:
  path: {{ . }}
  port: metrics
timeoutSeconds: 5
{{- end }}
