"""Labels of a node, by writer: kubelet, cloud, Node Feature Discovery, GPU Feature Discovery, the operator, other vendors."""

from __future__ import annotations

from fleet.simulator.flavours import Flavour
from fleet.simulator.gfd_labels import gfd_labels
from fleet.simulator.hardware import CPU_FLAGS, CPU_IDENTITY
from fleet.simulator.seeds import Seed
from fleet.simulator.world import Node

NFD = "feature.node.kubernetes.io/"
_DEPLOYED = (
    "container-toolkit", "dcgm", "dcgm-exporter", "device-plugin", "driver", "gpu-feature-discovery",
    "node-status-exporter", "operator-validator",
)  # fmt: skip
_PAUSED_BY_UPGRADE = ("container-toolkit", "dcgm", "dcgm-exporter", "device-plugin", "gpu-feature-discovery",
                      "operator-validator", "mig-manager")  # fmt: skip
UPGRADING = frozenset(
    {"cordon-required", "wait-for-jobs-required", "pod-deletion-required", "drain-required", "pod-restart-required"}
)


def node_labels(node: Node, flavour: Flavour, seed: Seed) -> dict[str, str]:
    """All labels of a node, sorted by key as the API shows them."""
    labels = _kubelet(node, flavour) | _cloud(node, flavour, seed) | _network(node, flavour, seed)
    if flavour.operator and node.stack != "bare":
        labels |= discovered_features(node, flavour)
    if node.stack == "operator":
        labels |= operator_labels(node)
        if node.gfd and not node.leftover:
            labels |= gfd_labels(node, flavour)
    elif node.stack == "amd":
        labels |= _amd(node)
    elif node.stack == "intel":
        labels |= _intel(node)
    elif node.stack == "gaudi":
        labels["habana.ai/gaudi.product"] = node.gpus[0].model.name
    labels |= node.labels
    for key, value in node.label_overrides.items():
        if value is None:
            labels.pop(key, None)
        else:
            labels[key] = value
    return dict(sorted(labels.items()))


def _kubelet(node: Node, flavour: Flavour) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": node.machine.arch,
        "beta.kubernetes.io/instance-type": node.machine.type,
        "beta.kubernetes.io/os": "linux",
        "failure-domain.beta.kubernetes.io/region": flavour.region,
        "failure-domain.beta.kubernetes.io/zone": node.zone,
        "kubernetes.io/arch": node.machine.arch,
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": node.machine.type,
        "topology.kubernetes.io/region": flavour.region,
        "topology.kubernetes.io/zone": node.zone,
    }


def _cloud(node: Node, flavour: Flavour, seed: Seed) -> dict[str, str]:
    machine = node.machine
    count = str(len(machine.gpus))
    if flavour.name == "eks":
        family, _, size = machine.type.partition(".")
        if node.stack == "bare":
            return {
                "karpenter.sh/nodepool": node.pool,
                "karpenter.sh/capacity-type": "on-demand",
                "karpenter.k8s.aws/instance-category": family[0],
                "karpenter.k8s.aws/instance-family": family,
                "karpenter.k8s.aws/instance-size": size,
                "karpenter.k8s.aws/instance-gpu-name": machine.accelerator,
                "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia",
                "karpenter.k8s.aws/instance-gpu-count": count,
                "karpenter.k8s.aws/instance-gpu-memory": str(-(-machine.gpus[0].memory_mib // 1024) * 1024),
            }
        return {
            "eks.amazonaws.com/capacityType": "ON_DEMAND",
            "eks.amazonaws.com/nodegroup": node.pool,
            "k8s.io/cloud-provider-aws": seed.hex(32, "cloud-provider"),
            "node-pool": node.pool,
            "topology.k8s.aws/zone-id": f"use1-az{1 + ord(node.zone[-1]) - ord('a')}",
        }
    if flavour.name == "gke":
        labels = {
            "cloud.google.com/gke-boot-disk": "hyperdisk-balanced",
            "cloud.google.com/gke-container-runtime": "containerd",
            "cloud.google.com/gke-cpu-scaling-level": str(machine.cpus),
            "cloud.google.com/gke-memory-gb-scaling-level": str(machine.memory_kib // 1024 // 1024),
            "cloud.google.com/gke-nodepool": node.pool,
            "cloud.google.com/gke-os-distribution": "cos",
            "cloud.google.com/gke-provisioning": "standard",
            "cloud.google.com/machine-family": machine.type.split("-")[0],
            "cloud.google.com/private-node": "true",
            "topology.gke.io/zone": node.zone,
        }
        if machine.gpus:
            labels |= {
                "cloud.google.com/gke-accelerator": machine.accelerator,
                "cloud.google.com/gke-accelerator-count": count,
                "cloud.google.com/gke-gpu-driver-version": "default",
            }
        if node.gpus and node.gpus[0].mig:
            labels["cloud.google.com/gke-gpu-partition-size"] = node.gpus[0].instances[0].profile.name
        if node.sharing != "none":
            strategy = "time-sharing" if node.sharing == "time-slicing" else node.sharing
            labels["cloud.google.com/gke-gpu-sharing-strategy"] = strategy
            labels["cloud.google.com/gke-max-shared-clients-per-gpu"] = str(node.replicas)
        return labels
    return {"node-pool": node.pool, "rack": f"r{node.number // 4:04d}"}


_RACK, _BLOCK = 4, 4
"""Nodes on one leaf switch, leaf switches on one spine switch."""


def _network(node: Node, flavour: Flavour, seed: Seed) -> dict[str, str]:
    """Where machines of eight GPUs are in the network, as each provider writes it; nothing for others."""
    if len(node.gpus) < 8 or node.stack not in ("operator", "gke"):
        return {}
    leaf = node.number // _RACK
    spine = leaf // _BLOCK
    if flavour.name == "eks":
        layers = {3: leaf, 2: spine, 1: 0}
        return {
            f"topology.k8s.aws/network-node-layer-{layer}": f"nn-{seed.hex(17, 'network-node', layer, number)}"
            for layer, number in sorted(layers.items())
        }
    if flavour.name == "gke":
        return {
            "cloud.google.com/gce-topology-block": seed.hex(32, "block", spine),
            "cloud.google.com/gce-topology-subblock": seed.hex(32, "subblock", leaf),
            "cloud.google.com/gce-topology-host": seed.hex(32, "host", node.name),
        }
    return {"fabric.topograph.run/tier-0": f"leaf-{leaf:03d}", "fabric.topograph.run/tier-1": f"spine-{spine:02d}"}


def discovered_features(node: Node, flavour: Flavour) -> dict[str, str]:
    """What Node Feature Discovery finds: processor, kernel, PCI devices."""
    labels = {f"{NFD}cpu-cpuid.{flag}": "true" for flag in CPU_FLAGS[node.machine.cpu].split()}
    vendor, family, model = CPU_IDENTITY[node.machine.cpu]
    major, minor, revision = flavour.kernel.split("-")[0].rstrip("+").split(".")
    labels |= {
        f"{NFD}cpu-hardware_multithreading": "true",
        f"{NFD}cpu-model.family": family,
        f"{NFD}cpu-model.id": model,
        f"{NFD}cpu-model.vendor_id": vendor,
        f"{NFD}kernel-config.NO_HZ": "true",
        f"{NFD}kernel-config.NO_HZ_FULL": "true",
        f"{NFD}kernel-version.full": flavour.kernel,
        f"{NFD}kernel-version.major": major,
        f"{NFD}kernel-version.minor": minor,
        f"{NFD}kernel-version.revision": revision,
        f"{NFD}memory-numa": "true",
        f"{NFD}storage-nonrotationaldisk": "true",
    }
    labels |= {f"{NFD}system-os_release.{key}": value for key, value in flavour.os_labels.items()}
    if node.gpus and not node.leftover:
        labels[f"{NFD}pci-{node.gpus[0].model.pci_vendor}.present"] = "true"
    if node.machine.extra:
        labels |= {f"{NFD}rdma.available": "true", f"{NFD}rdma.capable": "true"}
    return labels


def operator_labels(node: Node) -> dict[str, str]:
    """What the GPU Operator, its driver manager and its MIG manager write."""
    labels = {"nvidia.com/gpu.present": "false" if node.leftover else "true"}
    if node.leftover:
        return labels | {"nvidia.com/gpu.count": str(len(node.gpus)), "nvidia.com/gpu.product": node.gpus[0].model.product}
    upgrading = node.upgrade_state in UPGRADING
    capable = any(gpu.model.profiles for gpu in node.gpus)
    wanted = [*_DEPLOYED, "mig-manager"] if capable else list(_DEPLOYED)
    for component in wanted:
        paused = upgrading and component in _PAUSED_BY_UPGRADE
        labels[f"nvidia.com/gpu.deploy.{component}"] = "paused-for-driver-upgrade" if paused else "true"
    if not node.driver_image:
        labels["nvidia.com/gpu.deploy.driver"] = "pre-installed"
    labels["nvidia.com/gpu-driver-upgrade-state"] = node.upgrade_state
    if capable:
        labels |= {"nvidia.com/mig.config": node.mig_config, "nvidia.com/mig.config.state": node.mig_state}
        if node.mig_state in ("pending", "rebooting"):
            for component in ("device-plugin", "gpu-feature-discovery", "dcgm", "dcgm-exporter"):
                labels[f"nvidia.com/gpu.deploy.{component}"] = "paused-for-mig-change"
    if node.plugin_config:
        labels["nvidia.com/device-plugin.config"] = node.plugin_config
    return labels


def _amd(node: Node) -> dict[str, str]:
    return {
        "amd.com/gpu.cu-count": "304",
        "amd.com/gpu.device-id": "74b5",
        "amd.com/gpu.driver-version": "6.12.12",
        "amd.com/gpu.family": node.gpus[0].model.family,
        "amd.com/gpu.product-name": node.gpus[0].model.name.replace(" ", "_"),
        "amd.com/gpu.simd-count": "1216",
        "amd.com/gpu.vram": f"{node.gpus[0].model.memory_mib // 1024}G",
        f"{NFD}amd-gpu": "true",
    }


def _intel(node: Node) -> dict[str, str]:
    return {
        "gpu.intel.com/device.count": str(len(node.gpus)),
        "gpu.intel.com/family": node.gpus[0].model.family,
        "gpu.intel.com/product": "Flex_170",
        "gpu.intel.com/device-id.0380-56c0.count": str(len(node.gpus)),
        "gpu.intel.com/device-id.0380-56c0.present": "true",
        f"{NFD}custom-intel-gpu": "true",
    }
