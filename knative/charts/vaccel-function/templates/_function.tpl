{{/* Fails on invalid combinations of values. */}}
{{- define "vaccel.check" -}}
{{- if gt (int .Values.responseStartTimeoutSeconds) (int .Values.timeoutSeconds) }}
{{- fail "responseStartTimeoutSeconds: at most timeoutSeconds" }}
{{- end }}
{{- if and .Values.scale.max (gt (int .Values.scale.min) (int .Values.scale.max)) }}
{{- fail "scale.min: at most scale.max" }}
{{- end }}
{{- if and (eq .Values.model.source "imageVolume") (not (include "vaccel.has" (list . "1.35" "ImageVolume"))) }}
{{- fail (printf "model.source: imageVolume needs Kubernetes 1.35, or the gate ImageVolume among featureGates, and this cluster has %s; use configMap or pvc" (include "vaccel.kubeVersion" .)) }}
{{- end }}
{{- end }}

{{- define "vaccel.functionContainer" -}}
name: function
image: {{ include "vaccel.image" (list . .Values.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
ports:
  # Not h2c: the server does not support HTTP/2.
  - name: http1
    containerPort: 8080
    protocol: TCP
env:
  - name: VACCEL_RPC_ADDRESS
    value: {{ ternary "unix:///var/run/vaccel/vaccel.sock" .Values.rpcAddress .Values.sidecar.enabled | quote }}
  {{- with .Values.model.name }}
  - name: MODEL
    value: {{ . | quote }}
  {{- end }}
  - name: TOKENIZER
    value: {{ .Values.model.tokenizer | quote }}
  {{- if .Values.containerConcurrency }}
  - name: THREADS
    value: {{ .Values.containerConcurrency | quote }}
  {{- end }}
  # A port of its own, since the ingress leads to every path of the other.
  - name: METRICS_PORT
    value: {{ .Values.metrics.port | quote }}
  - name: REQUEST_TIMEOUT_S
    value: {{ .Values.function.requestTimeoutSeconds | quote }}
  - name: LOG_FORMAT
    value: {{ .Values.function.logFormat }}
  - name: LOG_LEVEL
    value: {{ .Values.function.logLevel }}
  {{- with .Values.function.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
# Without a period, Knative probes many times a second, which shortens a cold start.
readinessProbe:
  httpGet:
    path: /health/readiness
    port: 8080
livenessProbe:
  httpGet:
    path: /health/liveness
    port: 8080
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "vaccel.containerSecurity" . | nindent 2 }}
{{- if or (ne .Values.model.source "image") .Values.sidecar.enabled }}
volumeMounts:
  {{- if ne .Values.model.source "image" }}
  - name: tokenizer
    mountPath: {{ dir .Values.model.tokenizer }}
    readOnly: true
  {{- end }}
  {{- if .Values.sidecar.enabled }}
  - name: vaccel-sock
    mountPath: /var/run/vaccel
  {{- end }}
{{- end }}
{{- end }}

{{- define "vaccel.tokenizerVolume" -}}
{{- if ne .source "image" }}
- name: tokenizer
  {{- if eq .source "configMap" }}
  configMap:
    name: {{ required "model.configMap: the name of a ConfigMap with the tokenizer file" .configMap }}
  {{- else if eq .source "imageVolume" }}
  image:
    reference: {{ required "model.imageVolume: the OCI image with the tokenizer file" .imageVolume }}
  {{- else }}
  persistentVolumeClaim:
    claimName: {{ required "model.pvc: the name of a PersistentVolumeClaim" .pvc }}
    readOnly: true
  {{- end }}
{{- end }}
{{- end }}
