"""What a class asks of one of its pools: the requirement that headroom counts and that manifests write down, from one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.classes.workload import NVLINK, NVLINK_DOMAIN, WorkloadClass
from fleet.domain.label_selectors import Requirement, matches
from fleet.domain.mig import canonical
from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.matching import static_reasons
from fleet.domain.placement.nodes import FULL, MIG, TIME_SLICED, slot_mode
from fleet.domain.placement.requirement import GOOD, PodRequirement, Toleration, version
from fleet.domain.pools.policy import Pool
from fleet.domain.pools.suggest import common_taints
from fleet.domain.snapshot import Taint

_TELLS_APART = (
    labels.GPU_PRODUCT,
    labels.GKE_ACCELERATOR,
    labels.GPU_SHARING_STRATEGY,
    labels.GPU_REPLICAS,
    labels.MIG_STRATEGY,
    labels.GKE_SHARING_STRATEGY,
    labels.GKE_PARTITION_SIZE,
)
_DRIVER_MAJOR = labels.DRIVER_VERSION_PARTS[0]
_CUDA_MAJOR = labels.CUDA_VERSION_PARTS[0]
_ANYWHERE = (Toleration("", "Exists"),)


class PoolAsk(msgspec.Struct, frozen=True, kw_only=True):
    """One class in one of its pools."""

    promise: WorkloadClass
    pool: Pool
    resource: str
    """The name under which the pool really offers such slots; of a DRA pool the device class."""
    dra: bool
    """Whether it is asked through a resource claim and not by resource name."""
    requirement: PodRequirement
    warnings: tuple[str, ...] = ()
    """What the labels cannot tell apart, a sentence each."""
    problem: str = ""
    """Why no node of the pool can keep the promise at all; empty where some can."""

    @property
    def expressions(self) -> tuple[Requirement, ...]:
        """The one term of the node affinity: the pool's labels, and those that keep out what is not promised."""
        return self.requirement.terms[0] if self.requirement.terms else ()


def label_keys(pools: Iterable[Pool]) -> frozenset[str]:
    """Every label that asks for these pools may look at: what to group a Fleet by."""
    own = [one.key for pool in pools for one in pool.selector.labels]
    return frozenset([*own, *_TELLS_APART, labels.GPU_MEMORY, _DRIVER_MAJOR, _CUDA_MAJOR, labels.GPU_CLIQUE])


def asks(promise: WorkloadClass, pools: Sequence[Pool], fleet: Fleet) -> tuple[PoolAsk, ...]:
    """What the class asks of each of its pools, in its order of preference. A slug of no pool is left out."""
    by_slug = {pool.slug: pool for pool in pools}
    return tuple(ask(promise, by_slug[slug], fleet) for slug in promise.pools if slug in by_slug)


def ask(promise: WorkloadClass, pool: Pool, fleet: Fleet) -> PoolAsk:
    """What the class asks of this pool. `fleet` holds all nodes with their pools, grouped by `label_keys`.

    The affinity is the pool's own labels; another label is added only while some node that is not promised would pass as well:
    a card of another product, a shared one, one with too old a driver, or a node outside the pool.
    """
    members = fleet.of_pool(pool.slug)
    resource, dra, problem = _resource(promise, pool, members)
    wished = PodRequirement(
        resources=((resource, promise.slots_per_pod),),
        pods=promise.nodes,
        domain=labels.GPU_CLIQUE if promise.topology == NVLINK_DOMAIN else "",
        pool=pool.slug,
        products=promise.products,
        modes=(promise.isolation,),
        profile=promise.profile,
        min_memory_mib=promise.min_memory_mib,
        min_driver=promise.min_driver,
        min_cuda=promise.min_cuda,
        nvlink=promise.topology == NVLINK and not pool.policy.nvlink,
        tolerations=_ANYWHERE,
    )
    wanted = [shape for shape in members if not static_reasons(wished, shape.node) and _offers(shape, resource)]
    tolerations = _tolerations(pool, wanted or members)
    expressions, warnings = _affinity(promise, pool, wished, wanted, tolerations, fleet)
    requirement = msgspec.structs.replace(
        wished, terms=(expressions,) if expressions else (), tolerations=tolerations, verdicts=GOOD
    )
    if members and not wanted and not problem:
        (reason, _), *_ = Counter(
            reason.text for shape in members for reason in static_reasons(wished, shape.node)[:1] for _ in shape.nodes
        ).most_common(1) or [(f"It does not offer {resource}.", 0)]
        problem = f"No node of pool {pool.slug} is what the class promises. {reason}"
    return PoolAsk(
        promise=promise, pool=pool, resource=resource, dra=dra, requirement=requirement, warnings=warnings, problem=problem
    )


def _resource(promise: WorkloadClass, pool: Pool, members: Sequence[Shape]) -> tuple[str, bool, str]:
    """The resource by which most such slots are offered in the pool, whether it is a DRA device class, and what is wrong."""
    found: Counter[tuple[str, bool]] = Counter()
    for shape in members:
        node = shape.node
        if promise.products and node.product not in promise.products:
            continue
        for slots in node.resources:
            if slot_mode(node, slots) != promise.isolation:
                continue
            if promise.profile and canonical(slots.profile) != canonical(promise.profile):
                continue
            offered = max(slots.capacity or 0, slots.predicted or 0)
            if offered:
                found[slots.name, slots.kind.startswith("dra-")] += offered * len(shape.nodes)
    if found:
        # With equal numbers the name decides, so that two looks at the same fleet write the same manifest.
        (name, dra), _ = min(found.items(), key=lambda one: (-one[1], one[0]))
        return name, dra, ""
    guess = labels.NVIDIA_GPU
    if promise.isolation == MIG:
        guess = labels.NVIDIA_MIG_PREFIX + canonical(promise.profile).replace("+", ".")
    return guess, False, f"No node of pool {pool.slug} offers such slots." if members else f"Pool {pool.slug} has no nodes."


def _offers(shape: Shape, resource: str) -> bool:
    slots = shape.node.slots(resource)
    return slots is not None and bool(slots.capacity or slots.predicted)


def _tolerations(pool: Pool, shapes: Sequence[Shape]) -> tuple[Toleration, ...]:
    """For exactly the pool's taints: those its policy names, else those that all of its nodes carry."""
    taints = pool.policy.taints or common_taints([shape.node for shape in shapes])
    kept_out = [taint for taint in taints if taint.effect != "PreferNoSchedule"]
    return tuple(dict.fromkeys([*(tolerate(taint) for taint in kept_out), *pool.policy.tolerations]))


def tolerate(taint: Taint) -> Toleration:
    """The toleration for exactly this taint."""
    return Toleration(taint.key, "Equal" if taint.value else "Exists", taint.value, taint.effect)


def _affinity(
    promise: WorkloadClass,
    pool: Pool,
    wished: PodRequirement,
    wanted: Sequence[Shape],
    tolerations: Sequence[Toleration],
    fleet: Fleet,
) -> tuple[tuple[Requirement, ...], tuple[str, ...]]:
    expressions = list(pool.selector.labels)
    strays = list(_strays(wished, wanted, tolerations, fleet, expressions))
    for candidate in _candidates(promise, wished.resources[0][0], wanted) if strays else ():
        if not strays:
            break
        left = [shape for shape in strays if matches((candidate,), shape.node.labels)]
        if len(left) < len(strays):
            expressions.append(candidate)
            strays = left
    count = sum(len(shape.nodes) for shape in strays)
    if not count:
        return tuple(expressions), ()
    example = strays[0].nodes[0].name
    some = f"{example} passes" if count == 1 else f"{count} other nodes ({example} among them) pass"
    return tuple(expressions), (f"{some} the same labels and taints: pods of this class may land there too.",)


def _strays(
    wished: PodRequirement,
    wanted: Sequence[Shape],
    tolerations: Sequence[Toleration],
    fleet: Fleet,
    expressions: Sequence[Requirement],
) -> Iterator[Shape]:
    """Shapes in the pool's clusters where the scheduler would put such a pod although they are not what is promised."""
    if not wanted:
        return
    clusters = {shape.node.cluster for shape in wanted}
    ours = {id(shape) for shape in wanted}
    resource = wished.resources[0][0]
    for shape in fleet.offering(resource):
        node = shape.node
        if id(shape) in ours or node.cluster not in clusters or not matches(expressions, node.labels):
            continue
        kept_out = any(
            taint.effect in ("NoSchedule", "NoExecute")
            and not labels.is_transient_taint(taint.key)
            and taint.key != labels.TAINT_UNSCHEDULABLE
            and not any(one.tolerates(taint) for one in tolerations)
            for taint in node.taints
        )
        if not kept_out:
            yield shape


def _candidates(promise: WorkloadClass, resource: str, wanted: Sequence[Shape]) -> Iterator[Requirement]:
    """Further labels that every wanted node passes, the plainest first."""
    for key in _TELLS_APART:
        values = {shape.node.labels.get(key) for shape in wanted}
        if None not in values and "" not in values:
            yield Requirement(key, "in", tuple(sorted(value for value in values if value is not None)))
    numbers: list[tuple[str, int]] = []
    if promise.min_memory_mib and (promise.isolation in (FULL, TIME_SLICED) or resource == labels.NVIDIA_GPU):
        numbers.append((labels.GPU_MEMORY, promise.min_memory_mib))
    for key, text in ((_DRIVER_MAJOR, promise.min_driver), (_CUDA_MAJOR, promise.min_cuda)):
        least = version(text) if text else None
        if least:
            numbers.append((key, least[0]))
    for key, least_here in numbers:
        above = Requirement(key, "gt", (str(least_here - 1),))
        if all(matches((above,), shape.node.labels) for shape in wanted):
            yield above
