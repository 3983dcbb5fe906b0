"""Wanted shapes: the pods that classes promise and that pods of the last weeks requested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.classes.tolerations import tolerate
from fleet.domain.placement.matching import PODS
from fleet.domain.placement.nodes import FULL, PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement
from fleet.domain.stranded.nodes import Amounts, amounts, whole_gpu_resource

CLASS, POD = "class", "pod"
MOST_VARIANTS = 8
"""Different CPU and memory of pods that are alike otherwise; those with the least CPU count."""


class WantedShape(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One wanted pod: what it takes of a node, and which nodes it is for.

    Compared by identity: thousands of nodes refer to the same one.
    """

    title: str
    source: str
    """`class`, or `pod` for pods that were seen."""
    workload_class: str = ""
    """Slug; empty for pods that were seen."""
    resource: str
    """Resource of which one unit is a whole GPU."""
    gpus: int
    """Whole GPUs of one pod."""
    requirement: PodRequirement
    """Which nodes it is for. What it takes is in `needs`."""
    needs: Amounts
    """Everything one pod takes, GPUs and its place among the node's pods included."""

    @property
    def pods(self) -> int:
        """Returns the pods of one replica."""
        return max(self.requirement.pods, 1)

    @property
    def replica_gpus(self) -> int:
        return self.gpus * self.pods


class SeenPods(msgspec.Struct, frozen=True, kw_only=True):
    """Pods with the same requests that ran on one node, or that wait for any (`node` None)."""

    node: PlacementNode | None
    requests: Mapping[str, int | None]
    requirement: PodRequirement | None = None
    """Selector and tolerations, where they are known: of waiting pods."""


def class_shape(in_pool: ClassInPool) -> WantedShape | None:
    """Returns the shape of a class in one of its pools; None where its slots are not whole GPUs or no node matches."""
    if in_pool.class_spec.isolation != FULL or in_pool.problem:
        return None
    gpus = in_pool.class_spec.slots_per_pod
    return WantedShape(
        title=in_pool.class_spec.title or in_pool.class_spec.slug,
        source=CLASS,
        workload_class=in_pool.class_spec.slug,
        resource=in_pool.resource,
        gpus=gpus,
        requirement=in_pool.requirement,
        needs=_needs(in_pool.requirement.resources),
    )


def pod_shapes(seen: Iterable[SeenPods], resources: frozenset[str]) -> tuple[WantedShape, ...]:
    """Returns the shapes of pods that were seen. `resources` are those of which a unit is a whole GPU somewhere.

    A pod that ran is wanted on nodes of the same product and pool whose taints its node had. Requests that take at least as much
    of everything as another with as many GPUs for the same nodes add nothing and are left out.
    """
    by_place: dict[tuple[PodRequirement, str, int], list[dict[str, int]]] = {}
    for pods in seen:
        known = {name: amount for name, amount in pods.requests.items() if amount}
        whole = [name for name in known if name in resources]
        if len(whole) != 1 or None in pods.requests.values():
            continue
        place = pods.requirement or _place_of(pods.node)
        if place is None or (pods.node is not None and whole_gpu_resource(pods.node) != whole[0]):
            continue
        by_place.setdefault((place, whole[0], known[whole[0]]), []).append(known)
    return tuple(
        WantedShape(
            title=f"pods of {gpus:,} {resource}",
            source=POD,
            resource=resource,
            gpus=gpus,
            requirement=msgspec.structs.replace(place, resources=((resource, gpus),), modes=(FULL,), verdicts=GOOD),
            needs=_needs(needs.items()),
        )
        for (place, resource, gpus), requests in by_place.items()
        for needs in _least(requests)[:MOST_VARIANTS]
    )


def with_usual_needs(shapes: Sequence[WantedShape]) -> tuple[WantedShape, ...]:
    """Returns the shapes; those of classes that state no CPU or memory with the least that pods like them requested there.

    Without such pods such a class needs GPUs only.
    """
    usual: dict[tuple[str, str, int], dict[str, int]] = {}
    for shape in shapes:
        if shape.source == POD and shape.requirement.pool:
            least = usual.setdefault((shape.requirement.pool, shape.resource, shape.gpus), dict(shape.needs))
            for name in ("cpu", "memory"):
                least[name] = min(least.get(name, 0), dict(shape.needs).get(name, 0))
    filled = []
    for shape in shapes:
        least = usual.get((shape.requirement.pool, shape.resource, shape.gpus), {})
        if shape.source == CLASS and least:
            named = dict(shape.needs)
            more = {name: least[name] for name in ("cpu", "memory") if least.get(name) and name not in named}
            shape = msgspec.structs.replace(shape, needs=_needs([*shape.needs, *more.items()]))
        filled.append(shape)
    return tuple(filled)


def _needs(requests: Iterable[tuple[str, int]]) -> Amounts:
    return amounts({**dict(requests), PODS: 1})


def _place_of(node: PlacementNode | None) -> PodRequirement | None:
    if node is None or not node.product:
        return None
    return PodRequirement(
        clusters=(node.cluster,),
        products=(node.product,),
        pool=node.pools[0] if node.pools else "",
        tolerations=tuple(dict.fromkeys(tolerate(taint) for taint in node.taints)),
    )


def _least(requests: Iterable[dict[str, int]]) -> list[dict[str, int]]:
    """Returns the requests that no other one is contained in."""
    least: list[dict[str, int]] = []
    for candidate in sorted(requests, key=lambda amounts: sorted(amounts.items())):
        if any(all(candidate.get(name, 0) >= amount for name, amount in other.items()) for other in least):
            continue
        least = [other for other in least if not all(other.get(name, 0) >= amount for name, amount in candidate.items())]
        least.append(candidate)
    return sorted(least, key=lambda amounts: (amounts.get("cpu", 0), sorted(amounts.items())))
