"""Warnings that the scheduler does not check: readiness of nodes, kinds of slots, needs of container arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from fleet.domain.labels import is_gpu_resource
from fleet.domain.placement.model_memory import memory_warnings
from fleet.domain.placement.model_servers import served_models
from fleet.domain.placement.nodes import MIG_SHARED, MPS, TIME_SLICED, PlacementNode, slot_memory, slot_mode
from fleet.domain.placement.pool_room import READINESS_TAINT
from fleet.domain.placement.requirement import GOOD, version
from fleet.domain.placement.scheduler.state import scheduling_of
from fleet.domain.placement.scheduler.terms import Spec, items, text
from fleet.domain.snapshot import PodSnapshot

_CUDA_TAG = re.compile(r"(?:cuda[-_]?|cu)(\d{2})[._]?(\d)(?!\d)|nvidia/cuda:(\d{2})\.(\d)")


class Warning(msgspec.Struct, frozen=True):
    id: str
    text: str


def warnings_for(pod: PodSnapshot, spec: Spec, feasible: Sequence[PlacementNode]) -> tuple[Warning, ...]:
    """Returns warnings about a pod on the nodes that would take it."""
    gpus = {name: amount or 0 for name, amount in scheduling_of(pod).requests.items() if is_gpu_resource(name)}
    warnings = [*_readiness(feasible), *_slots(gpus, feasible), *_arguments(spec, gpus, feasible), *_cuda(spec, feasible)]
    if not gpus and not scheduling_of(pod).claims:
        warnings.append(
            Warning("no_gpu", "The pod requests no GPU. Only nodes with GPUs are evaluated; it may also land on others.")
        )
    if scheduling_of(pod).preferences:
        warnings.append(Warning("preferences", "Preferred affinity decides between feasible nodes; it is not evaluated."))
    return tuple(warnings)


def _readiness(feasible: Sequence[PlacementNode]) -> list[Warning]:
    bad = [node for node in feasible if node.verdict not in GOOD]
    rows = []
    if bad:
        verdicts = Counter(node.verdict.replace("_", " ") for node in bad)
        words = ", ".join(f"{number:,} {verdict}" for verdict, number in verdicts.most_common())
        text_ = (
            f"{len(bad):,} of {len(feasible):,} feasible nodes are not ready for GPU work ({words}). The scheduler does not know "
            f"and often prefers them because they are empty. A taint such as {READINESS_TAINT} on them keeps pods off until they "
            "are ready; first let the DaemonSets of the GPU stack tolerate it, or they never become ready."
        )
        rows.append(Warning("verdict", text_))
    stale = sum(node.stale for node in feasible)
    if stale:
        rows.append(Warning("stale", f"Feasible nodes in clusters that could not be read recently: {stale:,}."))
    return rows


def _slots(gpus: dict[str, int], feasible: Sequence[PlacementNode]) -> list[Warning]:
    """What one slot of the requested resources is, where it is not a GPU of its own."""
    rows = []
    for name, amount in gpus.items():
        offered = [(node, slots) for node in feasible if (slots := node.slots(name)) is not None]
        modes = Counter(slot_mode(node, slots) for node, slots in offered)
        shared = sum(modes[mode] for mode in (TIME_SLICED, MPS, MIG_SHARED))
        if shared and amount > 1:
            where = f"{amount} {name} on {shared:,} feasible nodes"
            text_ = f"{where} are {amount} shares, possibly of the same GPU: no more memory, no more compute."
            rows.append(Warning("shared_slots", text_))
        if modes[TIME_SLICED] or modes[MIG_SHARED]:
            number = modes[TIME_SLICED] + modes[MIG_SHARED]
            where = f"{name} is a time-sliced share on {number:,} feasible nodes"
            text_ = f"{where}: no memory isolation, latency depends on the other pods."
            rows.append(Warning("no_memory_isolation", text_))
        memory = {slot_memory(node, slots) for node, slots in offered} - {None}
        if len(memory) > 1:
            sizes = sorted(mib for mib in memory if mib is not None)
            text_ = f"One {name} has between {sizes[0] / 1024:,.1f} and {sizes[-1] / 1024:,.1f} GiB, depending on the node."
            rows.append(Warning("memory_differs", text_))
    return rows


def _arguments(spec: Spec, gpus: dict[str, int], feasible: Sequence[PlacementNode]) -> list[Warning]:
    """What the arguments of model servers ask for, against the GPUs of the pod and their memory."""
    rows = []
    requested = sum(gpus.values())
    for served in served_models(spec):
        used = served.gpus
        if used is not None and used != requested and requested:
            where = f"Container {served.container} asks for parallelism over {used} GPUs, the pod requests {requested}"
            if served.tensor is None and served.pipeline is None and served.data is None:
                text_ = f"Container {served.container} has no parallelism: {served.server} uses 1 of {requested} requested GPUs."
            elif used > requested and served.pipeline is None and served.data is None:
                text_ = f"{where}: tensor parallelism would have to cross nodes."
            else:
                text_ = f"{where}."
            rows.append(Warning("parallelism", text_))
        if len(gpus) == 1:
            rows += [Warning(*entry) for entry in memory_warnings(served, next(iter(gpus)), requested, feasible)]
    return rows


def _cuda(spec: Spec, feasible: Sequence[PlacementNode]) -> list[Warning]:
    """CUDA in an image's tag that is newer than a node's driver supports. Minor versions of one major are compatible."""
    rows = []
    for container in items(spec.get("containers")):
        image = text(container.get("image"))[:512]
        match = _CUDA_TAG.search(image)
        if match is None:
            continue
        wanted = f"{match[1] or match[3]}.{match[2] or match[4]}"
        older = [node for node in feasible if (own := version(node.cuda_version)) and own[:1] < (int(wanted.split(".")[0]),)]
        if older:
            name = image.rpartition("/")[2][:100]
            text_ = f"Image {name} needs CUDA {wanted}; the driver of {len(older):,} feasible nodes supports less."
            rows.append(Warning("cuda", text_))
    return rows
