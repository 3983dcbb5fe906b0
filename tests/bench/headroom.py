"""Headroom of 50 classes over 5,000 nodes: `python -m tests.bench.headroom`. Needs no database and no cluster.

Every node has its own name and labels, its own fill, and one verdict in ten is not good. `total_s` is everything a page or an API
call would repeat: memberships of pools, grouping, the requirements of each class, and the room for it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

from fleet.domain.classes.requirements import class_in_pools, label_keys
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.label_selectors import parse
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.builders import with_pools

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")
KINDS = (
    ("NVIDIA-H100-80GB-HBM3", 81559, 8, 1, "none"),
    ("NVIDIA-H200", 143771, 8, 1, "none"),
    ("NVIDIA-GB200", 189471, 4, 1, "none"),
    ("NVIDIA-A100-SXM4-80GB", 81920, 8, 1, "mig-mixed"),
    ("Tesla-T4", 15360, 1, 4, "none"),
    ("NVIDIA-L40S", 46068, 4, 1, "none"),
)
POOLS = 24


def nodes(count: int) -> list[PlacementNode]:
    dice = random.Random(7)
    return [_node(number, dice) for number in range(count)]


def _node(number: int, dice: random.Random) -> PlacementNode:
    pool = number % POOLS
    product, history, cards, replicas, partitioning = KINDS[pool % len(KINDS)]
    whole = cards * replicas
    resources = [_slots(GPU, "gpu", "", whole, dice.randint(0, whole), replicas)]
    if partitioning == "mig-mixed":
        resources = [_slots(GPU, "gpu", "", 0, 0, 1), _slots(SLICE, "mig", "1g.10gb", 56, dice.randint(0, 56), 1)]
    name = f"gpu-{number:05d}"
    labels = {f"feature.node.kubernetes.io/cpu-cpuid.F{at}": "true" for at in range(30)}
    labels |= {
        "kubernetes.io/hostname": name,
        "node-pool": f"pool-{pool}",
        "nvidia.com/gpu.product": product + ("-SHARED" if replicas > 1 else ""),
        "nvidia.com/gpu.replicas": str(replicas),
        "nvidia.com/gpu.sharing-strategy": "time-slicing" if replicas > 1 else "none",
        "nvidia.com/gpu.memory": str(history),
        "nvidia.com/cuda.driver-version.major": "570",
        "nvidia.com/cuda.runtime-version.major": "12",
        "nvidia.com/gfd.timestamp": str(1_763_625_600 + number),
    }
    if product == "NVIDIA-GB200":
        labels["nvidia.com/gpu.clique"] = f"rack-{number // (18 * POOLS)}.{pool}"
    return PlacementNode(
        cluster=f"cluster-{pool % 3}",
        name=name,
        labels=labels,
        taints=(TAINT,),
        verdict=dice.choice(["ready"] * 8 + ["degraded", "not_ready"]),
        product=product,
        gpu_memory_mib=history,
        driver_version="570.172.08",
        cuda_version="12.8",
        partitioning=partitioning,
        sharing="time-slicing" if replicas > 1 else "exclusive",
        resources=tuple(resources),
    )


def _slots(name: str, kind: str, profile: str, whole: int, used: int, replicas: int) -> ResourceSlots:
    return ResourceSlots(
        name=name,
        kind=kind,
        profile=profile,
        replicas=replicas,
        capacity=whole,
        allocatable=whole,
        requested=used,
        free=whole - used,
        predicted=whole,
    )


def pools() -> list[PoolSpec]:
    return [
        PoolSpec(
            slug=f"pool-{at}", selector=PoolSelector(labels=parse(f"node-pool=pool-{at}")), policy=PoolPolicy(taints=(TAINT,))
        )
        for at in range(POOLS)
    ]


def classes(count: int) -> list[ClassSpec]:
    made = []
    for number in range(count):
        kind = number % len(KINDS)
        product, history, cards, replicas, partitioning = KINDS[kind]
        chosen = tuple(f"pool-{at}" for at in range(kind, POOLS, len(KINDS)))[: 1 + number % 4]
        shared, sliced = replicas > 1, partitioning == "mig-mixed"
        gpus = 1 if shared else (1, 2, cards)[number % 3]
        racks = product == "NVIDIA-GB200" and number % 2 == 0
        made.append(
            ClassSpec(
                slug=f"class-{number}",
                isolation="time-sliced" if shared else "mig" if sliced else "full",
                profile="1g.10gb" if sliced else "",
                gpus=2 * cards if racks else gpus,
                nodes=2 if racks else 1,
                topology="nvlink-domain" if racks else "one-node",
                products=(product,),
                min_memory_mib=None if sliced else history,
                min_driver="570",
                pools=chosen,
            )
        )
    return made


def measure(node_count: int, class_count: int, runs: int) -> dict[str, float]:
    """Medians over the runs, in seconds (`cpu_s` is the total without waiting for the processor), and what was counted."""
    fleet_nodes, all_pools, class_specs = nodes(node_count), pools(), classes(class_count)
    took: dict[str, list[float]] = {"membership_s": [], "group_s": [], "asks_s": [], "headroom_s": [], "total_s": [], "cpu_s": []}
    figures: dict[str, float] = {}
    for _ in range(runs):
        gc.collect()
        busy = time.process_time()
        marks = [time.perf_counter()]
        placed = with_pools(all_pools, fleet_nodes)
        marks.append(time.perf_counter())
        grouped = Fleet(placed, label_keys(all_pools))
        marks.append(time.perf_counter())
        asked = [class_in_pools(class_spec, all_pools, grouped) for class_spec in class_specs]
        marks.append(time.perf_counter())
        rooms = [headroom([pool_need.requirement for pool_need in group], grouped) for group in asked]
        marks.append(time.perf_counter())
        for name, before, after in zip(took, marks, marks[1:], strict=False):
            took[name].append(after - before)
        took["total_s"].append(marks[-1] - marks[0])
        took["cpu_s"].append(time.process_time() - busy)
        figures = {"shapes": len(grouped.shapes), "replicas": sum(room.replicas for room in rooms)}
    return {name: round(statistics.median(values), 3) for name, values in took.items()} | figures


def main(node_count: int = 5_000, class_count: int = 50, runs: int = 5) -> dict[str, float]:
    """Measure, print, and write $MUSTER_HOME/bench/headroom.json."""
    figures = {"nodes": node_count, "classes": class_count, **measure(node_count, class_count, runs)}
    folder = Path(os.environ.get("MUSTER_HOME") or Path(__file__).resolve().parents[2] / "var") / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "headroom.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for name, value in figures.items():
        sys.stdout.write(f"headroom {name:<15} {value}\n")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    main(options.nodes, options.classes, options.runs)
