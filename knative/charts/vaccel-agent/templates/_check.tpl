{{/* Fails on invalid combinations of values. */}}
{{- define "vaccel.check" -}}
{{- if and (eq .Values.kind "DaemonSet") (ne .Values.autoscaling.type "none") }}
{{- fail "autoscaling.type: a DaemonSet has one agent on each node and is not scaled; set kind: Deployment or autoscaling.type: none" }}
{{- end }}
{{- if and (eq .Values.kind "DaemonSet") (not .Values.safeToEvict) }}
{{- fail "safeToEvict: Cluster Autoscaler ignores it on a DaemonSet's pods and removes their node; set kind: Deployment, or safeToEvict: true" }}
{{- end }}
{{- if and (eq .Values.kind "DaemonSet") .Values.topologySpreadConstraints }}
{{- fail "topologySpreadConstraints: a DaemonSet has one agent on each node; set kind: Deployment, or leave it empty" }}
{{- end }}
{{- if and (eq .Values.autoscaling.type "hpa") (lt (int .Values.autoscaling.minReplicas) 1) }}
{{- fail "autoscaling.minReplicas: an HPA keeps at least 1 agent; 0 needs autoscaling.type: keda" }}
{{- end }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas: at most autoscaling.maxReplicas" }}
{{- end }}
{{- if and .Values.resourceClaims .Values.gpu.enabled }}
{{- fail "gpu.enabled: the device plugin and resourceClaims would each allocate a device; set gpu.enabled: false, or leave resourceClaims empty" }}
{{- end }}
{{- $version := include "vaccel.kubeVersion" . }}
{{- if .Values.resourceClaims }}
{{- /* What Helm knows of the cluster's interfaces counts, unless a version is given. */}}
{{- if not (ternary (semverCompare ">=1.34.0-0" $version) (.Capabilities.APIVersions.Has "resource.k8s.io/v1") (ne .Values.kubeVersion "")) }}
{{- fail (printf "resourceClaims: dynamic resource allocation (resource.k8s.io/v1) needs Kubernetes 1.34, and this cluster, %s, does not have it; use gpu.enabled: true and a device plugin" $version) }}
{{- end }}
{{- range $claim := .Values.resourceClaims }}
{{- range prepend ($claim.firstAvailable | default list) $claim }}
{{- if and .capacity (not (include "vaccel.has" (list $ "1.36" "DRAConsumableCapacity"))) }}
{{- fail (printf "resourceClaims: capacity of %s needs Kubernetes 1.36, or the gate DRAConsumableCapacity among featureGates, and this cluster has %s; use count" .name $version) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (hasPrefix "PreferSame" .Values.service.trafficDistribution) (not (include "vaccel.has" (list . "1.34" "PreferSameTrafficDistribution"))) }}
{{- fail (printf "service.trafficDistribution: %s needs Kubernetes 1.34, or the gate PreferSameTrafficDistribution among featureGates, and this cluster has %s; use auto or PreferClose" .Values.service.trafficDistribution $version) }}
{{- end }}
{{- if eq .Values.models.source "imageVolume" }}
{{- if not (include "vaccel.has" (list . "1.35" "ImageVolume")) }}
{{- fail (printf "models.source: imageVolume needs Kubernetes 1.35, or the gate ImageVolume among featureGates, and this cluster has %s; use copy" $version) }}
{{- end }}
{{- if and .Values.models.imageVolume.subPath (not (semverCompare ">=1.33.0-0" $version)) }}
{{- fail (printf "models.imageVolume.subPath: needs Kubernetes 1.33, and this cluster has %s; use an image with the models in its root" $version) }}
{{- end }}
{{- end }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSeconds) (int .Values.agent.graceSeconds)) }}
{{- fail "terminationGracePeriodSeconds: must be at least preStopSeconds + agent.graceSeconds, or running calls are interrupted" }}
{{- end }}
{{- end }}
