"""Kinds of nodes, and the number of each in the default fleet of about 140 GPU nodes.

Each kind is a way to partition, share and advertise GPUs, or a fault of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleet.simulator import hardware as hw
from fleet.simulator.hardware import Machine

_PRESENT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
_TRAINING = {"key": "dedicated", "value": "training", "effect": "NoSchedule"}
_AMD = {"key": "amd.com/gpu", "value": "present", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class NodeKind:
    """One kind of node. `layout`: MIG profiles of each card ("balanced": mig-parted's layout); `plain`: cards left whole."""

    name: str
    pool: str
    machine: Machine
    stack: str = "operator"
    strategy: str = "single"
    layout: tuple[str, ...] = ()
    plain: int = 0
    mig_config: str = "all-disabled"
    sharing: str = "none"
    replicas: int = 1
    renamed: bool = False
    plugin_config: str = ""
    stale: dict[str, int] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = (_PRESENT,)
    driver_image: bool = True
    fault: str = ""
    """Name of the initial fault of its nodes (builder.FAULTS); empty for healthy ones."""


def _faulty(kind: NodeKind, fault: str) -> NodeKind:
    changed = {name: getattr(kind, name) for name in NodeKind.__slots__}
    return NodeKind(**{**changed, "name": f"{kind.name} {fault}", "fault": fault})


_H100 = NodeKind("h100", "h100-prod-inference", hw.P5)
_H200 = NodeKind("h200", "h200-training", hw.P5EN, taints=(_PRESENT, _TRAINING))
_H100_MIG = NodeKind("h100-mig", "h100-mig-serving", hw.P5, layout=("1g.10gb",) * 7, mig_config="all-1g.10gb")
_A10G = NodeKind(
    "a10g-renamed", "a10g-shared", hw.G5, sharing="time-slicing", replicas=10, renamed=True, plugin_config="a10g-shared-10"
)
_T4 = NodeKind("t4-sliced", "t4-dev", hw.G4DN, sharing="time-slicing", replicas=4, plugin_config="t4-time-slicing-4", taints=())
_L40S_MPS = NodeKind("l40s-mps", "l40s-mps", hw.G6E, sharing="mps", replicas=8, plugin_config="l40s-mps-8")
_GB200 = NodeKind("gb200-dra", "gb200-nvl", hw.P6E, "dra", driver_image=False)
_H100_DRA = NodeKind("h100-dra-mig", "h100-dra", hw.P5, "dra", layout=("1g.10gb",) * 7, plain=6, driver_image=False)
_H100_SHARES = NodeKind("h100-dra-shares", "h100-dra-shares", hw.P5, "dra", sharing="dra-shares", replicas=8, driver_image=False)
_H100_ON_DEMAND = NodeKind("h100-dra-on-demand", "h100-dra-on-demand", hw.P5, "dra", strategy="dynamic", driver_image=False)
_KARPENTER = NodeKind("l4-starting", "gpu-burst", hw.G6, "bare", fault="starting")

EKS_PLAN = (
    (_H100, 19), (_faulty(_H100, "gpu-lost"), 1), (_faulty(_H100, "plugin-down"), 1),
    (_H200, 15), (_faulty(_H200, "driver-upgrade"), 1),
    (_H100_MIG, 4), (_A10G, 4), (_faulty(_A10G, "share-lost"), 1), (_T4, 4), (_L40S_MPS, 2),
    (_GB200, 4), (_faulty(_GB200, "half-published"), 1), (_faulty(_GB200, "device-tainted"), 1),
    (_H100_DRA, 1), (_H100_SHARES, 1), (_H100_ON_DEMAND, 1),
    (_KARPENTER, 1),
)  # fmt: skip

_GKE_A100 = NodeKind("gke-a100", "a100-batch", hw.A2_ULTRA, "gke", driver_image=False)
_GKE_H100 = NodeKind("gke-h100", "h100-mega", hw.A3_HIGH, "gke", driver_image=False)
_GKE_MIG = NodeKind("gke-mig", "a100-slices", hw.A2_HIGH, "gke", layout=("1g.5gb",) * 7, driver_image=False)
_GKE_L4 = NodeKind("gke-l4-shared", "l4-shared", hw.G2, "gke", sharing="time-slicing", replicas=4, driver_image=False)
_GKE_MPS = NodeKind("gke-l4-mps", "l4-mps", hw.G2, "gke", sharing="mps", replicas=3, driver_image=False)
_GKE_MIG_SHARED = NodeKind(
    "gke-mig-shared", "a100-slices-shared", hw.A2_HIGH, "gke", layout=("2g.10gb",) * 3, sharing="time-slicing", replicas=2,
    driver_image=False,
)  # fmt: skip
_GKE_T4 = NodeKind("gke-t4", "t4-small", hw.N1_T4, "gke", driver_image=False)

GKE_PLAN = (
    (_GKE_A100, 22), (_faulty(_GKE_A100, "not-ready"), 1), (_GKE_H100, 9), (_GKE_MIG, 4), (_GKE_L4, 4), (_GKE_MPS, 2),
    (_GKE_MIG_SHARED, 1), (_GKE_T4, 2),
)  # fmt: skip

_LAB_H100 = NodeKind("lab-h100", "h100-research", hw.XD670)
_LAB_B200 = NodeKind("lab-b200", "b200-pilot", hw.DGX_B200, driver_image=False)
_LAB_BALANCED = NodeKind(
    "lab-mig-mixed", "a100-mig", hw.DGX_A100, strategy="mixed", layout=("balanced",), mig_config="all-balanced",
    plugin_config="mig-mixed",
)  # fmt: skip
_LAB_PARTLY = NodeKind(
    "lab-mig-partly", "a100-mig", hw.DGX_A100, strategy="mixed", layout=("1g.10gb",) * 7, plain=4, mig_config="half-1g.10gb",
    plugin_config="mig-mixed",
)  # fmt: skip
_LAB_STALE = NodeKind(
    "lab-mig-stale", "a100-mig", hw.DGX_A100, layout=("2g.20gb",) * 3, mig_config="all-2g.20gb",
    stale={"nvidia.com/mig-1g.10gb": 0, "nvidia.com/mig-3g.40gb": 0},
)  # fmt: skip
_LAB_MIG_SLICED = NodeKind(
    "lab-mig-sliced", "a100-mig-shared", hw.DGX_A100, layout=("3g.40gb",) * 2, mig_config="all-3g.40gb",
    sharing="time-slicing", replicas=2, plugin_config="mig-time-slicing-2",
)  # fmt: skip
_LAB_MIXED_SLICED = NodeKind(
    "lab-mixed-sliced", "a100-mig-shared", hw.DGX_A100, strategy="mixed", layout=("balanced",), mig_config="all-balanced",
    sharing="time-slicing", replicas=2, plugin_config="mig-mixed-time-slicing-2",
)  # fmt: skip
_LAB_INVALID = NodeKind(
    "lab-mig-invalid", "a100-mig", hw.DGX_A100, layout=("balanced",), mig_config="all-balanced", fault="mig-invalid"
)
_LAB_L40S = NodeKind(
    "lab-l40s-sliced", "l40s-dev", hw.R760XA, sharing="time-slicing", replicas=4, plugin_config="l40s-time-slicing-4", taints=()
)
_LAB_MIXED_CARDS = NodeKind("lab-two-products", "workstations", hw.R760XA_MIXED, taints=())
_LAB_VGPU = NodeKind("lab-vgpu", "vdi-vms", hw.VM_VGPU, taints=(), driver_image=False)
_LAB_MI300X = NodeKind("lab-mi300x", "mi300x", hw.XE9680_MI300X, "amd", taints=(_AMD,))
_LAB_FLEX = NodeKind("lab-flex170", "flex-media", hw.R760_FLEX, "intel", taints=())
_LAB_GAUDI = NodeKind("lab-gaudi2", "gaudi2", hw.XE9680_GAUDI2, "gaudi", taints=())

KUBEADM_PLAN = (
    (_LAB_H100, 10), (_faulty(_LAB_H100, "cordoned"), 1),
    (_LAB_B200, 4), (_LAB_BALANCED, 3), (_LAB_PARTLY, 1), (_LAB_STALE, 1), (_LAB_MIG_SLICED, 1), (_LAB_MIXED_SLICED, 1),
    (_LAB_INVALID, 1), (_LAB_L40S, 7), (_faulty(_LAB_L40S, "config-contradicts"), 1), (_faulty(_LAB_L40S, "labels-away"), 1),
    (_LAB_MIXED_CARDS, 1), (_LAB_VGPU, 1), (_LAB_MI300X, 2), (_LAB_FLEX, 1), (_LAB_GAUDI, 1),
    (_faulty(_LAB_L40S, "leftover"), 1),
)  # fmt: skip


def _dra(name: str, pool: str, **more: Any) -> NodeKind:
    return NodeKind(name, pool, more.pop("machine", hw.XD670), "dra", driver_image=False, taints=(), **more)


DRA_PLAN = (
    (_dra("dra-whole", "h100"), 4),
    (_dra("dra-stale-gfd", "h100-moved", fault="stale-gfd"), 1),
    (_dra("dra-mig", "h100-mig", layout=("1g.10gb",) * 7, plain=4), 1),
    (_dra("dra-shares", "h100-shares", sharing="dra-shares", replicas=8), 2),
    (_dra("dra-unbounded", "h100-unbounded", sharing="dra-shares", replicas=0), 1),
    (_dra("dra-on-demand", "h100-on-demand", strategy="dynamic"), 2),
    (_dra("dra-placements", "h100-placements", strategy="placements"), 2),
    (_dra("dra-amd", "mi300x-cpx", machine=hw.XE9680_MI300X), 2),
    (_faulty(_dra("dra-whole", "h100"), "device-tainted"), 1),
)

PLANS = {"eks": EKS_PLAN, "gke": GKE_PLAN, "kubeadm": KUBEADM_PLAN, "dra": DRA_PLAN}
CPU_MACHINES = {"eks": hw.M6I, "gke": hw.E2, "kubeadm": hw.R660, "dra": hw.R660}

KINDS = {kind.name: kind for plan in PLANS.values() for kind, _ in plan} | {
    f"{distribution}-cpu": NodeKind(f"{distribution}-cpu", "system", machine, "cpu", taints=())
    for distribution, machine in CPU_MACHINES.items()
}
"""Every kind by name, for tests that want one node of a certain kind."""


def shares(distribution: str, nodes: int) -> list[tuple[NodeKind, int]]:
    """How many nodes of each kind a cluster of `nodes` GPU nodes has: the plan's proportions, by largest remainder.

    A cluster smaller than its plan has the commonest kinds first; a larger one has every kind, and faults in proportion.
    """
    plan = PLANS[distribution]
    total = sum(count for _, count in plan)
    exact = [(kind, nodes * count / total) for kind, count in plan]
    whole = [int(share) for _, share in exact]
    by_remainder = sorted(range(len(plan)), key=lambda at: (exact[at][1] - whole[at], plan[at][1]), reverse=True)
    for at in by_remainder[: nodes - sum(whole)]:
        whole[at] += 1
    return [(kind, count) for (kind, _), count in zip(exact, whole, strict=True) if count]
