{{/* A Job is immutable: an upgrade creates one with a new name, and Helm deletes the old one. The name leaves room for a pod's suffix. */}}
{{- define "vaccel.loadtestName" -}}
{{- $name := include "vaccel.fullname" . | trunc 44 | trimSuffix "-" -}}
{{- if .Release.IsUpgrade -}}
{{- printf "%s-%d" $name .Release.Revision -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{/* Call with (dict "root" $ "role" "master"); the roles are single, master and worker. */}}
{{- define "vaccel.loadtestLabels" -}}
app.kubernetes.io/component: loadtest-{{ .role }}
vaccel.dev/run: {{ include "vaccel.loadtestName" .root }}
{{- if .root.Values.rpcAddress }}
vaccel.dev/client: "true"
{{- end }}
{{- end }}

{{- define "vaccel.loadtestTags" -}}
{{- with .Values.tags }}
- --tags
{{- range . }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.excludeTags }}
- --exclude-tags
{{- range . }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Options of the single pod or the master, whose exit code is the result. */}}
{{- define "vaccel.loadtestArgs" -}}
- --headless
{{- range .Values.userClasses }}
- {{ . | quote }}
{{- end }}
- --only-summary
- --host
- {{ .Values.url | default (printf "http://vaccel-function.%s.svc.cluster.local" .Release.Namespace) | quote }}
- --users
- {{ .Values.users | quote }}
- --spawn-rate
- {{ .Values.spawnRate | quote }}
- --run-time
- {{ .Values.runTime | quote }}
- --stop-timeout
- {{ .Values.stopSeconds | quote }}
- --shape
- {{ .Values.shape }}
- --steps
- {{ .Values.steps | quote }}
- --burst-seconds
- {{ .Values.burstSeconds | quote }}
- --gap-seconds
- {{ .Values.gapSeconds | quote }}
- --max-fail-ratio
- {{ .Values.limits.maxFailRatio | quote }}
{{- with .Values.limits.maxP95Ms }}
- --max-p95-ms
- {{ . | quote }}
{{- end }}
{{- with .Values.limits.maxP99Ms }}
- --max-p99-ms
- {{ . | quote }}
{{- end }}
{{- if include "vaccel.loadtestTexts" . }}
- --texts
- /texts/texts.txt
{{- end }}
{{- with .Values.rpcAddress }}
- --rpc-address
- {{ . | quote }}
{{- end }}
- --html
- /reports/{{ include "vaccel.loadtestName" . }}.html
- --csv
- /reports/{{ include "vaccel.loadtestName" . }}
{{- if .Values.workers }}
- --master
- --expect-workers
- {{ .Values.workers | quote }}
- --expect-workers-max-wait
- {{ .Values.workersWaitSeconds | quote }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- include "vaccel.loadtestTags" . }}
{{- end }}

{{/* A worker receives its options from the master, except the tags. */}}
{{- define "vaccel.workerArgs" -}}
- --worker
- --master-host
- {{ include "vaccel.loadtestName" . }}
{{- include "vaccel.loadtestTags" . }}
{{- end }}

{{/* The name of the ConfigMap with the texts; empty if the load test uses its own texts. */}}
{{- define "vaccel.loadtestTexts" -}}
{{- if .Values.texts.configMap -}}
{{- .Values.texts.configMap -}}
{{- else if .Values.texts.lines -}}
{{- printf "%s-texts" (include "vaccel.loadtestName" .) -}}
{{- end -}}
{{- end }}

{{/* Call with (dict "root" $ "role" "master"). */}}
{{- define "vaccel.loadtestPod" -}}
{{- $root := .root }}{{ $values := .root.Values }}{{ $texts := include "vaccel.loadtestTexts" .root -}}
metadata:
  labels:
    {{- include "vaccel.podLabels" $root | nindent 4 }}
    {{- include "vaccel.loadtestLabels" . | nindent 4 }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "vaccel.podSecurity" $root | nindent 4 }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: vaccel-loadtest
      image: {{ include "vaccel.image" (list $root $values.image) }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        {{- if eq .role "worker" }}
        {{- include "vaccel.workerArgs" $root | nindent 8 }}
        {{- else }}
        {{- include "vaccel.loadtestArgs" $root | nindent 8 }}
        {{- end }}
      {{- with $values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if eq .role "master" }}
      ports:
        - name: locust
          containerPort: 5557
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- include "vaccel.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if ne .role "worker" }}
        - name: reports
          mountPath: /reports
        {{- end }}
        {{- if $texts }}
        - name: texts
          mountPath: /texts
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if ne .role "worker" }}
    - name: reports
      {{- if $values.reports.pvc }}
      persistentVolumeClaim:
        claimName: {{ $values.reports.pvc }}
      {{- else }}
      emptyDir:
        sizeLimit: 256Mi
      {{- end }}
    {{- end }}
    {{- if $texts }}
    - name: texts
      configMap:
        name: {{ $texts }}
    {{- end }}
{{- end }}
