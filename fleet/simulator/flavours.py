"""Distributions of the clusters: EKS, GKE and kubeadm differ in names, labels, images and daemons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fleet.simulator.seeds import Seed


@dataclass(frozen=True, slots=True)
class Daemon:
    """A DaemonSet that every node of the cluster runs."""

    name: str
    namespace: str
    container: str
    image: str
    cpu: str = "100m"
    memory: str = "128Mi"


@dataclass(frozen=True, slots=True)
class Flavour:
    """One distribution."""

    name: str
    version: str
    region: str
    zones: tuple[str, ...]
    os_image: str
    os_labels: dict[str, str]
    kernel: str
    runtime: str
    cni: str
    daemons: tuple[Daemon, ...]
    operator: str = ""
    """Version of the GPU Operator; empty: there is none."""
    driver: str = "580.95.05"
    cuda: str = "13.0"
    gpu_cluster: bool = False
    """Whether the GPU Operator runs in DRA mode, by a GPUCluster and without a ClusterPolicy."""
    has_dra: bool = False
    """Whether resource.k8s.io/v1 is served."""
    device_status: bool = False
    """Whether pods report their devices (allocatedResourcesStatus)."""
    exporter: str = "4.6.0-4.8.3"
    plugin: str = "v0.20.0"
    toolkit: str = "v1.20.0"
    mig_manager: str = "v0.15.0"
    extra_images: tuple[str, ...] = field(default_factory=tuple)
    kueue: bool = False
    """Whether Kueue is installed."""

    @property
    def minor(self) -> int:
        return int(self.version.removeprefix("v").split(".")[1])

    def node_name(self, pool: str, number: int, seed: Seed) -> str:
        """A node name as this distribution gives them."""
        if self.name == "eks":
            return f"ip-10-{40 + number // 16000}-{number // 250 % 64}-{4 + number % 250}.{self._eks_domain}"
        if self.name == "gke":
            return f"gke-{pool}-{seed.hex(8, 'instance-group', pool)}-{seed.suffix(4, 'node', pool, number)}"
        return f"{pool}-{number + 1:02d}"

    @property
    def _eks_domain(self) -> str:
        return "ec2.internal" if self.region == "us-east-1" else f"{self.region}.compute.internal"

    def provider_id(self, name: str, zone: str, seed: Seed) -> str:
        if self.name == "eks":
            return f"aws:///{zone}/i-0{seed.hex(16, 'instance', name)}"
        if self.name == "gke":
            return f"gce://example-ml-prod/{zone}/{name}"
        return ""


_NODE_EXPORTER = Daemon("node-exporter", "monitoring", "node-exporter", "quay.io/prometheus/node-exporter:v1.9.1")
_EKS_REGISTRY = "602401143452.dkr.ecr.us-east-1.amazonaws.com"

EKS = Flavour(
    name="eks",
    version="v1.34.1-eks-113cf36",
    region="us-east-1",
    zones=("us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"),
    os_image="Ubuntu 22.04.5 LTS",
    os_labels={"ID": "ubuntu", "VERSION_ID": "22.04", "VERSION_ID.major": "22", "VERSION_ID.minor": "04"},
    kernel="6.8.0-1041-aws",
    runtime="containerd://1.7.28",
    cni="aws-node",
    daemons=(
        Daemon("aws-node", "kube-system", "aws-node", f"{_EKS_REGISTRY}/amazon-k8s-cni:v1.20.4-eksbuild.1"),
        Daemon("kube-proxy", "kube-system", "kube-proxy", f"{_EKS_REGISTRY}/eks/kube-proxy:v1.34.1-eksbuild.2"),
        Daemon("ebs-csi-node", "kube-system", "ebs-plugin", "public.ecr.aws/ebs-csi-driver/aws-ebs-csi-driver:v1.50.1"),
        _NODE_EXPORTER,
    ),
    operator="v26.7.0",
    has_dra=True,
    extra_images=(
        f"{_EKS_REGISTRY}/eks/coredns:v1.12.4-eksbuild.1",
        f"{_EKS_REGISTRY}/eks/aws-efa-k8s-device-plugin:v0.5.13",
        f"{_EKS_REGISTRY}/eks/eks-pod-identity-agent:v0.1.33",
    ),
)

GKE = Flavour(
    name="gke",
    version="v1.33.5-gke.1162000",
    region="europe-west4",
    zones=("europe-west4-a", "europe-west4-b", "europe-west4-c"),
    os_image="Container-Optimized OS from Google",
    os_labels={"ID": "cos", "VERSION_ID": "121", "VERSION_ID.major": "121"},
    kernel="6.6.97+",
    runtime="containerd://2.0.6",
    cni="gke",
    daemons=(
        Daemon("fluentbit-gke", "kube-system", "fluentbit", "gke.gcr.io/fluent-bit:v1.9.12-gke.12"),
        Daemon("gke-metrics-agent", "kube-system", "gke-metrics-agent", "gke.gcr.io/gke-metrics-agent:1.17.1-gke.0"),
        Daemon("pdcsi-node", "kube-system", "gce-pd-driver", "gke.gcr.io/gcp-compute-persistent-disk-csi-driver:v1.17.4"),
    ),
    driver="570.172.08",
    cuda="12.8",
    plugin="1.0.44-gke.0",
    exporter="4.2.3-4.1.3",
    extra_images=("gke.gcr.io/kube-proxy-amd64:v1.33.5-gke.1162000", "gke.gcr.io/netd:v0.6.5-gke.0"),
)

KUBEADM = Flavour(
    name="kubeadm",
    version="v1.32.9",
    region="fra2",
    zones=("fra2-hall-a", "fra2-hall-b"),
    os_image="Ubuntu 24.04.3 LTS",
    os_labels={"ID": "ubuntu", "VERSION_ID": "24.04", "VERSION_ID.major": "24", "VERSION_ID.minor": "04"},
    kernel="6.8.0-79-generic",
    runtime="containerd://1.7.27",
    cni="cilium",
    daemons=(
        Daemon("cilium", "kube-system", "cilium-agent", "quay.io/cilium/cilium:v1.17.6"),
        Daemon("kube-proxy", "kube-system", "kube-proxy", "registry.k8s.io/kube-proxy:v1.32.9"),
        _NODE_EXPORTER,
    ),
    operator="v25.3.2",
    driver="570.172.08",
    cuda="12.8",
    exporter="4.2.3-4.1.3",
    plugin="v0.17.3",
    toolkit="v1.17.8",
    mig_manager="v0.12.2",
    extra_images=("registry.k8s.io/coredns/coredns:v1.12.0", "registry.k8s.io/etcd:3.5.24-0"),
    kueue=True,
)

NEWEST = Flavour(
    name="kubeadm",
    version="v1.36.2",
    region="iad1",
    zones=("iad1-a", "iad1-b"),
    os_image=KUBEADM.os_image,
    os_labels=KUBEADM.os_labels,
    kernel="6.14.0-33-generic",
    runtime="containerd://2.1.4",
    cni="cilium",
    daemons=KUBEADM.daemons,
    operator="v26.7.0",
    driver="595.91.07",
    cuda="13.2",
    has_dra=True,
    device_status=True,
)
"""A cluster new enough to report devices in each pod's status."""

DRA = replace(NEWEST, name="dra", region="phx1", zones=("phx1-a", "phx1-b"), gpu_cluster=True)
"""A cluster that gives out every GPU through DRA."""

NAMED = (
    ("prod-us-east", EKS),
    ("prod-eu-west", GKE),
    ("research-onprem", KUBEADM),
    ("staging-iad", NEWEST),
    ("dra-phx", DRA),
)
"""The first clusters of a fleet, in order; further ones repeat the first three flavours under numbered names."""


def named(index: int) -> tuple[str, Flavour]:
    """Name and flavour of the cluster at `index`, from 0."""
    if index < len(NAMED):
        return NAMED[index]
    name, flavour = NAMED[index % 3]
    return f"{name}-{index // 3 + 1}", flavour
