{{/* Templates of every chart; called with the calling chart's root context. */}}

{{- define "vaccel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "vaccel.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of pods, without the chart's version: a change of it would restart them. */}}
{{- define "vaccel.podLabels" -}}
app: {{ include "vaccel.fullname" . }}
{{ include "vaccel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: vaccel-text-classification
{{- with mergeOverwrite (dict) .Values.commonLabels .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vaccel.labels" -}}
app: {{ include "vaccel.fullname" . }}
{{ include "vaccel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: vaccel-text-classification
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Call with (list $ .Values.image). */}}
{{- define "vaccel.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* The cluster's version; `kubeVersion` where Helm cannot ask the cluster. */}}
{{- define "vaccel.kubeVersion" -}}
{{- .Values.kubeVersion | default .Capabilities.KubeVersion.Version -}}
{{- end }}

{{/* "true" if the cluster has a feature: it is on by default since a version, or its gate is among `featureGates`.
     Call with (list $ "1.35" "ImageVolume"). */}}
{{- define "vaccel.has" -}}
{{- $root := index . 0 -}}
{{- if or (semverCompare (printf ">=%s.0-0" (index . 1)) (include "vaccel.kubeVersion" $root)) (has (index . 2) $root.Values.featureGates) -}}
true
{{- end -}}
{{- end }}

{{- define "vaccel.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "vaccel.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The volume with an agent's models; empty if they are in its image. Call with .Values.models. */}}
{{- define "vaccel.modelsVolume" -}}
{{- if ne .source "image" }}
- name: models
  {{- if eq .source "imageVolume" }}
  image:
    reference: {{ required "models.imageVolume.reference: the OCI image with the models" .imageVolume.reference }}
    pullPolicy: {{ .imageVolume.pullPolicy }}
  {{- else if eq .source "hostPath" }}
  hostPath:
    path: {{ required "models.hostPath: a directory on the node" .hostPath }}
    type: Directory
  {{- else if eq .source "pvc" }}
  persistentVolumeClaim:
    claimName: {{ required "models.pvc: the name of a PersistentVolumeClaim" .pvc }}
    readOnly: true
  {{- else if eq .source "copy" }}
  emptyDir:
    sizeLimit: {{ .copy.sizeLimit }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The container of an agent in a client's pod, reached over a unix socket. Call with $; the values are .Values.sidecar. */}}
{{- define "vaccel.sidecar" -}}
name: vaccel-agent
image: {{ include "vaccel.image" (list . .Values.sidecar.image) }}
imagePullPolicy: {{ .Values.sidecar.image.pullPolicy }}
command: [vaccel-rpc-agent]
args: ["-a", "unix:///var/run/vaccel/vaccel.sock"{{ range .Values.sidecar.args }}, {{ . | quote }}{{ end }}]
resources:
  {{- toYaml .Values.sidecar.resources | nindent 2 }}
securityContext:
  {{- include "vaccel.containerSecurity" . | nindent 2 }}
volumeMounts:
  - name: vaccel-sock
    mountPath: /var/run/vaccel
  - name: agent-tmp
    mountPath: /tmp
{{- end }}

{{- define "vaccel.sidecarVolumes" -}}
- name: vaccel-sock
  emptyDir: {}
- name: agent-tmp
  emptyDir:
    sizeLimit: 1Gi
{{- end }}

{{/* A pod of `helm test` that runs a Python program. Call with (dict "root" $ "image" ... "program" ... "args" (list ...)). */}}
{{- define "vaccel.testPod" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "vaccel.fullname" .root }}-test
  labels:
    {{- include "vaccel.labels" .root | nindent 4 }}
    app.kubernetes.io/component: test
    vaccel.dev/client: "true"
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- include "vaccel.podSecurity" .root | nindent 4 }}
  containers:
    - name: test
      image: {{ include "vaccel.image" (list .root .image) }}
      imagePullPolicy: {{ .image.pullPolicy }}
      command: [python, -c]
      args:
        - |
          {{- .program | nindent 10 }}
        {{- range .args }}
        - {{ . | quote }}
        {{- end }}
      resources:
        requests: {cpu: 100m, memory: 96Mi}
        limits: {memory: 256Mi}
      securityContext:
        {{- include "vaccel.containerSecurity" .root | nindent 8 }}
{{- end }}

{{/* A Python program that opens a session with the first agent that it reaches, and registers the models named as arguments. */}}
{{- define "vaccel.askAgent" -}}
import sys
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import RpcError
from vaccel_rpc.pool.targets import parse_targets
for target in parse_targets(sys.argv[1]):
    try:
        client = VaccelClient(connect(target.address, 10))
        session = client.create_session(timeout=10)
        break
    except RpcError as error:
        print(error, file=sys.stderr)
else:
    sys.exit("no agent can be reached")
print("session", session)
for name in sys.argv[2:]:
    print(name, "is resource", client.register_path(session, name, 60))
{{- end }}
