"""Finds out where a cluster runs, from its server version and its nodes."""

from __future__ import annotations

from collections.abc import Mapping

# Distributions and managed services that write themselves into the version: v1.33.4-eks-1a2b3c, v1.33.4+k3s1.
_BY_VERSION = (("-eks-", "EKS"), ("-gke.", "GKE"), ("+rke2", "RKE2"), ("+k3s", "K3s"), ("+k0s", "k0s"))

# A label or annotation that only this platform's own components write.
_BY_KEY = (
    ("node.openshift.io/os_id", "OpenShift"),
    ("eks.amazonaws.com/nodegroup", "EKS"),
    ("eks.amazonaws.com/compute-type", "EKS"),
    ("cloud.google.com/gke-nodepool", "GKE"),
    ("kubernetes.azure.com/cluster", "AKS"),
    ("kubernetes.azure.com/agentpool", "AKS"),
    ("doks.digitalocean.com/node-pool", "DOKS"),
    ("minikube.k8s.io/name", "minikube"),
    ("kubeadm.alpha.kubernetes.io/cri-socket", "kubeadm"),
)

# The provider of the machine, where none is known for the cluster.
_BY_PROVIDER = (
    ("aws://", "AWS"),
    ("gce://", "Google Cloud"),
    ("azure://", "Azure"),
    ("ocid1.", "Oracle Cloud"),
    ("oci://", "Oracle Cloud"),
    ("openstack://", "OpenStack"),
    ("vsphere://", "vSphere"),
    ("kind://", "kind"),
)


def platform_of(labels: Mapping[str, str], annotations: Mapping[str, str], provider_id: str, server_version: str) -> str:
    """EKS, GKE, AKS, OpenShift, kubeadm …; empty where unknown. OpenShift first: it runs on all clouds."""
    if _BY_KEY[0][0] in labels:
        return _BY_KEY[0][1]
    for token, name in _BY_VERSION:
        if token in server_version:
            return name
    for key, name in _BY_KEY[1:]:
        if key in labels or key in annotations:
            return name
    return next((name for prefix, name in _BY_PROVIDER if provider_id.startswith(prefix)), "")
