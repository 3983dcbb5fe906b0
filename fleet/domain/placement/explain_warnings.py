"""Warnings that the scheduler does not check: readiness of nodes, kinds of slots, needs of container arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from fleet.domain.labels import is_gpu_resource
from fleet.domain.placement.nodes import MIG_SHARED, MPS, TIME_SLICED, PlacementNode, slot_memory, slot_mode
from fleet.domain.placement.pool_room import READINESS_TAINT
from fleet.domain.placement.requirement import GOOD, version
from fleet.domain.placement.scheduler.state import scheduling_of
from fleet.domain.placement.scheduler.terms import Spec, items, text, texts
from fleet.domain.snapshot import PodSnapshot

_PARALLEL = {
    "tensor": ("--tensor-parallel-size", "-tp", "--tp-size", "--tp", "--num-shard", "--tp_size"),
    "pipeline": ("--pipeline-parallel-size", "-pp", "--pp-size", "--pp_size"),
}
_VARIABLES = {"tensor": ("NIM_TENSOR_PARALLEL_SIZE", "NUM_SHARD"), "pipeline": ("NIM_PIPELINE_PARALLEL_SIZE",)}
_CUDA_TAG = re.compile(r"(?:cuda[-_]?|cu)(\d{2})[._]?(\d)(?!\d)|nvidia/cuda:(\d{2})\.(\d)")
_LONGEST_TEXT = 2_000


class Warning(msgspec.Struct, frozen=True):
    id: str
    text: str


def warnings_for(pod: PodSnapshot, spec: Spec, feasible: Sequence[PlacementNode]) -> tuple[Warning, ...]:
    """Returns warnings about a pod on the nodes that would take it."""
    gpus = {name: amount or 0 for name, amount in scheduling_of(pod).requests.items() if is_gpu_resource(name)}
    warnings = [*_readiness(feasible), *_slots(gpus, feasible), *_arguments(spec, sum(gpus.values())), *_cuda(spec, feasible)]
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


def _arguments(spec: Spec, gpus: int) -> list[Warning]:
    """Parallelism that a model server's arguments ask for, against the GPUs of the pod."""
    arguments = []
    for container in items(spec.get("containers")):
        tensor, pipeline = _parallel(container, "tensor"), _parallel(container, "pipeline")
        if tensor is not None and tensor * (pipeline or 1) != gpus:
            size = tensor * (pipeline or 1)
            where = f"Container {text(container.get('name'))[:63]} asks for parallelism over {size} GPUs"
            if size > gpus and pipeline is None:
                arguments.append(
                    Warning("parallelism", f"{where}, the pod requests {gpus}: tensor parallelism would have to cross nodes.")
                )
            else:
                arguments.append(Warning("parallelism", f"{where}, the pod requests {gpus}."))
    return arguments


def _parallel(container: Spec, kind: str) -> int | None:
    words = [
        word for part in ("command", "args") for entry in texts(container.get(part)) for word in entry[:_LONGEST_TEXT].split()
    ]
    for word, following in pairwise([*words, ""]):
        flag, equals, value = word.partition("=")
        if flag in _PARALLEL[kind]:
            value = value if equals else following
            if value.isascii() and value.isdigit() and 0 < len(value) < 5:
                return int(value)
    for variable in items(container.get("env")):
        value = text(variable.get("value"))
        if variable.get("name") in _VARIABLES[kind] and value.isascii() and value.isdigit() and 0 < len(value) < 5:
            return int(value)
    return None


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
