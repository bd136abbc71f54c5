{{/* A Pod or Job is immutable: an upgrade creates one with a new name, and Helm deletes the old one. */}}
{{- define "vaccel.clientName" -}}
{{- $name := include "vaccel.fullname" . -}}
{{- if and .Release.IsUpgrade (ne .Values.kind "Deployment") -}}
{{- printf "%s-%d" $name .Release.Revision -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{- define "vaccel.clientSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: {{ ternary "Always" "OnFailure" (eq .Values.kind "Deployment") }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "vaccel.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and .Values.sidecar.enabled (eq .Values.kind "Job") }}
# The agent is a native sidecar, so that the Job completes when its client does.
initContainers:
  - restartPolicy: Always
    {{- include "vaccel.sidecar" . | nindent 4 }}
{{- end }}
containers:
  {{- if and .Values.sidecar.enabled (ne .Values.kind "Job") }}
  - {{ include "vaccel.sidecar" . | nindent 4 | trim }}
  {{- end }}
  - name: vaccel-client
    image: {{ include "vaccel.image" (list . .Values.image) }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [vaccel-classifier]
    args:
      - -m
      - {{ .Values.model }}
      {{- with .Values.vocab }}
      - -v
      - {{ . }}
      {{- end }}
      - -f
      - {{ .Values.file }}
      - --wait
      - {{ .Values.waitSeconds | quote }}
      {{- range .Values.extraArgs }}
      - {{ . | quote }}
      {{- end }}
    env:
      - name: VACCEL_RPC_ADDRESS
        value: {{ ternary "unix:///var/run/vaccel/vaccel.sock" .Values.rpcAddress .Values.sidecar.enabled | quote }}
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- include "vaccel.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - name: tweets
        mountPath: /data
        readOnly: true
      {{- if .Values.sidecar.enabled }}
      - name: vaccel-sock
        mountPath: /var/run/vaccel
      {{- end }}
volumes:
  {{- if .Values.sidecar.enabled }}
  {{- include "vaccel.sidecarVolumes" . | nindent 2 }}
  {{- end }}
  - name: tweets
    {{- if eq .Values.tweets.source "hostPath" }}
    hostPath:
      path: {{ required "tweets.hostPath: a directory on the node" .Values.tweets.hostPath }}
    {{- else if eq .Values.tweets.source "pvc" }}
    persistentVolumeClaim:
      claimName: {{ required "tweets.pvc: the name of a PersistentVolumeClaim" .Values.tweets.pvc }}
      readOnly: true
    {{- else }}
    configMap:
      name: {{ .Values.tweets.configMap | default (printf "%s-texts" (include "vaccel.fullname" .)) }}
    {{- end }}
{{- end }}

{{- define "vaccel.clientLabels" -}}
app.kubernetes.io/component: client
vaccel.dev/client: "true"
{{- end }}
