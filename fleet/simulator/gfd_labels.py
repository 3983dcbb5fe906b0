"""Labels of NVIDIA's GPU feature discovery."""

from __future__ import annotations

from fleet.simulator.flavours import Flavour
from fleet.simulator.world import Instance, Node


def gfd_labels(node: Node, flavour: Flavour) -> dict[str, str]:
    """What GPU Feature Discovery writes, by mode. A node with two products is described by one of them."""
    model = node.gpus[0].model
    alike = [gpu for gpu in node.gpus if gpu.model is model]
    shared = node.replicas > 1
    all_cut = all(gpu.mig for gpu in alike)
    product, count, memory = model.product, len(alike), model.memory_mib
    replicas = 0 if all_cut and node.strategy != "single" else node.replicas
    sharing = node.sharing if not (all_cut and node.strategy == "mixed") else "none"
    labels: dict[str, str] = {}
    if node.mig_invalid:
        product, count, memory, replicas, sharing = f"{product}-MIG-INVALID", 0, 0, 0, ""
    elif node.strategy == "single" and any(gpu.mig for gpu in alike):
        instances = [instance for gpu in alike for instance in gpu.instances]
        labels |= _geometry("gpu", instances[0])
        product = f"{product}-MIG-{instances[0].profile.name}"
        count, memory = len(instances), instances[0].profile.memory_mib
    if shared and not node.renamed and not node.mig_invalid and sharing != "none":
        product += "-SHARED"
    major, minor, *rest = flavour.driver.split(".")
    revision = rest[0] if rest else ""
    cuda_major, cuda_minor = flavour.cuda.split(".")
    is_vgpu = model.name.endswith("Q")
    labels |= {
        "cuda.driver-version.full": flavour.driver,
        "cuda.driver-version.major": major,
        "cuda.driver-version.minor": minor,
        "cuda.driver-version.revision": revision,
        "cuda.driver.major": major,
        "cuda.driver.minor": minor,
        "cuda.driver.rev": revision,
        "cuda.runtime-version.full": flavour.cuda,
        "cuda.runtime-version.major": cuda_major,
        "cuda.runtime-version.minor": cuda_minor,
        "cuda.runtime.major": cuda_major,
        "cuda.runtime.minor": cuda_minor,
        "gfd.timestamp": str(int(node.booted.timestamp()) + 240),
        "gpu.compute.major": str(model.compute[0]),
        "gpu.compute.minor": str(model.compute[1]),
        "gpu.count": str(count),
        "gpu.family": model.family,
        "gpu.machine": node.machine.name,
        "gpu.memory": str(memory),
        "gpu.mode": "compute",
        "gpu.product": product,
        "gpu.replicas": str(replicas),
        "gpu.sharing-strategy": sharing,
        "mig.capable": str(bool(model.profiles)).lower(),
        "mps.capable": str(node.sharing == "mps").lower(),
        "vgpu.present": str(is_vgpu).lower(),
    }
    if node.strategy != "none":
        labels["mig.strategy"] = node.strategy
    if is_vgpu:
        labels |= {"vgpu.host-driver-version": "570.172.07", "vgpu.host-driver-branch": "r573_48"}
    if node.strategy == "mixed":
        labels |= _mixed(node)
    return {f"nvidia.com/{key}": value for key, value in labels.items()}


def _mixed(node: Node) -> dict[str, str]:
    labels: dict[str, str] = {}
    counted: dict[str, list[Instance]] = {}
    for gpu in node.gpus:
        for instance in gpu.instances:
            counted.setdefault(instance.profile.name, []).append(instance)
    for profile, instances in counted.items():
        prefix = f"mig-{profile.replace('+', '.')}"
        shared = node.replicas > 1 and node.sharing == "time-slicing"
        suffix = "-SHARED" if shared and not node.renamed else ""
        labels |= _geometry(prefix, instances[0])
        labels |= {
            f"{prefix}.count": str(len(instances)),
            f"{prefix}.memory": str(instances[0].profile.memory_mib),
            f"{prefix}.product": f"{node.gpus[0].model.product}-MIG-{profile}{suffix}",
            f"{prefix}.replicas": str(node.replicas if shared else 1),
            f"{prefix}.sharing-strategy": "time-slicing" if shared else "none",
        }
    return labels


def _geometry(prefix: str, instance: Instance) -> dict[str, str]:
    profile = instance.profile
    return {
        f"{prefix}.engines.copy": str(profile.copy),
        f"{prefix}.engines.decoder": str(profile.decoder),
        f"{prefix}.engines.encoder": "0",
        f"{prefix}.engines.jpeg": str(profile.jpeg),
        f"{prefix}.engines.ofa": "0",
        f"{prefix}.multiprocessors": str(profile.multiprocessors),
        f"{prefix}.slices.ci": str(profile.slices),
        f"{prefix}.slices.gi": str(profile.slices),
    }
