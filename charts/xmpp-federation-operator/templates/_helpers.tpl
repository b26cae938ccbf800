{{- define "xfed.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "xfed.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "xfed.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Cluster-scoped names carry the namespace, so that two namespaced releases never meet. */}}
{{- define "xfed.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "xfed.fullname" .) -}}
{{- end -}}

{{- define "xfed.selectorLabels" -}}
app.kubernetes.io/name: {{ include "xfed.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "xfed.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "xfed.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: xmpp-federation
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "xfed.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "xfed.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.create is false: set serviceAccount.name to the account the operator shall use" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Call with (dict "image" .Values.image "default" .Chart.AppVersion). A digest names one image, a tag may move: the digest wins. */}}
{{- define "xfed.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .default .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The lease of this release; operator/src/lease.rs has the same names. */}}
{{- define "xfed.leaseNamespace" -}}
{{- ternary .Values.leaderElection.namespace .Release.Namespace .Values.rbac.clusterWide -}}
{{- end -}}

{{- define "xfed.namespacedLeaseName" -}}
{{- printf "xmpp-federation-operator.namespaced.%s" .Values.class -}}
{{- end -}}

{{- define "xfed.leaseName" -}}
{{- if not .Values.rbac.clusterWide -}}
{{- include "xfed.namespacedLeaseName" . -}}
{{- else if eq .Values.class "default" -}}
xmpp-federation-operator
{{- else -}}
{{- printf "xmpp-federation-operator.class.%s" .Values.class -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a list of domains. */}}
{{- define "xfed.hasDomains" -}}
{{- if or .Values.domains.namespaces (ne .Values.domains.default "Allow") }}true{{ end -}}
{{- end -}}
