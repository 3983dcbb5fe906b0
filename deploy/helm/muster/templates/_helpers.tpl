{{- define "muster.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "muster.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "muster.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "muster.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "muster.selector" -}}
app.kubernetes.io/name: {{ include "muster.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "muster.labels" -}}
{{ include "muster.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: muster
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "muster.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "muster.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is required with serviceAccount.create: false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "muster.image" -}}
{{- $repository := required "image.repository is required: the image that Dockerfile makes, in your registry" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The name of the Service inside the cluster, under which Prometheus asks. */}}
{{- define "muster.serviceHost" -}}
{{- printf "%s.%s.svc" (include "muster.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "muster.hosts" -}}
{{- list (toString (default "" .Values.settings.ALLOWED_HOSTS)) (join "," .Values.ingress.hosts) (include "muster.serviceHost" .) | compact | join "," | splitList "," | uniq | join "," }}
{{- end }}

{{/* Whether the cluster that the release is in is read: a kubeconfig takes its place. */}}
{{- define "muster.inCluster" -}}
{{- if and .Values.clusters.inCluster.enabled (not .Values.clusters.kubeconfigSecret) }}true{{ end }}
{{- end }}

{{/*
A pod of one process. Takes {root, component, command, resources, ports, probes, reads, restartPolicy, account}:
reads is whether the process reads clusters, which alone mounts a token or a kubeconfig.
*/}}
{{- define "muster.pod" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
metadata:
  labels:
    {{- include "muster.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if and .reads (include "muster.inCluster" $root) }}
  serviceAccountName: {{ include "muster.serviceAccount" $root }}
  automountServiceAccountToken: true
  {{- else }}
  automountServiceAccountToken: false
  {{- end }}
  enableServiceLinks: false
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .grace }}
  terminationGracePeriodSeconds: {{ . }}
  {{- end }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .component }}
      image: {{ include "muster.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      {{- with .command }}
      command: {{ toJson . }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      env:
        - {name: DATABASE_URL, value: {{ required "database.url is required: postgres://USER@HOST:5432/DATABASE" $values.database.url | quote }}}
        - {name: MUSTER_BROKER_URL, value: {{ required "broker.url is required: redis://HOST:6379/0" $values.broker.url | quote }}}
        - {name: MUSTER_DEMO, value: "no"}
        {{- range $setting, $key := $values.secrets.keys }}
        {{- if $key }}
        - {name: {{ $setting }}_FILE, value: /run/secrets/muster/{{ $key }}}
        {{- end }}
        {{- end }}
        {{- if .reads }}
        {{- if $values.clusters.kubeconfigSecret }}
        - {name: MUSTER_KUBECONFIG, value: /etc/muster/kubeconfig/kubeconfig}
        {{- else }}
        - {name: MUSTER_CLUSTER_NAME, value: {{ $values.clusters.inCluster.name | quote }}}
        {{- end }}
        {{- end }}
        {{- with .heartbeat }}
        - {name: MUSTER_HEARTBEAT_FILE, value: {{ . }}}
        {{- end }}
        - {name: ALLOWED_HOSTS, value: {{ include "muster.hosts" $root | quote }}}
        {{- range $setting, $value := omit $values.settings "ALLOWED_HOSTS" }}
        {{- if ne (toString $value) "" }}
        - {name: {{ $setting }}, value: {{ toString $value | quote }}}
        {{- end }}
        {{- end }}
      {{- with .ports }}
      ports:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .probes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: home, mountPath: /var/lib/muster}
        - {name: secrets, mountPath: /run/secrets/muster, readOnly: true}
        {{- if and .reads $values.clusters.kubeconfigSecret }}
        - {name: kubeconfig, mountPath: /etc/muster/kubeconfig, readOnly: true}
        {{- end }}
        {{- if $values.secrets.certificateAuthority.configMap }}
        - {name: certificate-authority, mountPath: /etc/muster/ca, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    - name: home
      emptyDir: {}
    - name: secrets
      secret:
        secretName: {{ required "secrets.existingSecret is required: a Secret with at least secret-key" $values.secrets.existingSecret }}
        defaultMode: 0440
    {{- if and .reads $values.clusters.kubeconfigSecret }}
    - name: kubeconfig
      secret:
        secretName: {{ $values.clusters.kubeconfigSecret }}
        defaultMode: 0440
        items: [{key: kubeconfig, path: kubeconfig}]
    {{- end }}
    {{- with $values.secrets.certificateAuthority.configMap }}
    - name: certificate-authority
      configMap: {name: {{ . }}}
    {{- end }}
{{- end }}

{{/* A Deployment of one process: as muster.pod, with replicas (nil where an autoscaler decides). */}}
{{- define "muster.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "muster.fullname" .root }}-{{ .component }}
  labels:
    {{- include "muster.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not (kindIs "invalid" .replicas) }}
  replicas: {{ .replicas }}
  {{- end }}
  {{- with .strategy }}
  strategy: {type: {{ . }}}
  {{- end }}
  selector:
    matchLabels:
      {{- include "muster.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    {{- include "muster.pod" . | nindent 4 }}
{{- end }}

{{/* A worker or beat is alive while its main loop touches its file: docs/operations.md. */}}
{{- define "muster.heartbeatProbe" -}}
livenessProbe:
  exec: {command: [sh, -c, 'test -n "$(find /tmp/heartbeat -mmin -1)"']}
  initialDelaySeconds: 30
  periodSeconds: 20
  failureThreshold: 3
{{- end }}
