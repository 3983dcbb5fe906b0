"""Requirements of a class on each of its pools, shared by headroom and manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.classes.device_selection import DeviceSelection, select_devices
from fleet.domain.classes.placements import AllowedPlacement, admits, implies
from fleet.domain.classes.strays import named, not_told_apart
from fleet.domain.classes.tolerations import pool_tolerations
from fleet.domain.classes.workload import NVLINK, NVLINK_DOMAIN, ClassSpec
from fleet.domain.devices.mig import canonical
from fleet.domain.devices.slots import UNBOUNDED, ResourceSlots
from fleet.domain.label_selectors import Requirement, matches
from fleet.domain.manifests.parameters import CLASS_LABEL, NAME_LABEL
from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.matching import static_reasons
from fleet.domain.placement.nodes import FULL, MIG, MPS, TIME_SLICED, PlacementNode, partition_profile, slot_mode, slot_profiles
from fleet.domain.placement.requirement import GOOD, PodRequirement, Toleration, version
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.pools.identity import KEYS, POOL_LABEL, Identity, Term, by_labels, expected_terms, identify, pool_term
from fleet.domain.pools.policy import PoolSpec

_DRIVER_MAJOR = labels.DRIVER_VERSION_PARTS[0]
_CUDA_MAJOR = labels.CUDA_VERSION_PARTS[0]
_ANYWHERE = (Toleration("", "Exists"),)
OF_DEVICES = frozenset({"product", "mode", "profile", "memory"})
"""Reasons against a node that are about its devices: a claim that selects devices keeps its pods from there."""
_NO_MPS = "There a claim configures MPS for its own containers only, so pods share nothing by it: shares are a time-sliced class."
Claims = Callable[[], Mapping[str, ClusterClaims]]
"""Devices and claims of every cluster by name, read where a pool of DRA first needs them."""


class ClassInPool(msgspec.Struct, frozen=True, kw_only=True):
    """One class in one of its pools."""

    class_spec: ClassSpec
    pool: PoolSpec
    resource: str
    """Name under which the pool advertises such slots; of a DRA pool the device class."""
    dra: bool
    """Whether it is requested through a resource claim instead of a resource name."""
    requirement: PodRequirement
    warnings: tuple[str, ...] = ()
    """Ambiguities of the labels, a sentence each."""
    strays: tuple[PlacementNode, ...] = ()
    """Nodes that do not match the class and that the scheduler would still use for it."""
    problem: str = ""
    """Why no node of the pool can meet the class; empty where some can."""
    devices: DeviceSelection | None = None
    """What a claim asks of the pool's devices; None where it asks by resource name, or the devices are unknown."""
    earlier: tuple[AllowedPlacement, ...] = ()
    """Placements of manifests that were copied earlier and still stay in the pool."""
    earlier_selectors: tuple[tuple[str, ...], ...] = ()
    """Selectors of claims in these manifests."""
    added_tolerations: tuple[Toleration, ...] = ()
    """What admission adds to its pods for their RuntimeClass."""

    @property
    def device_class(self) -> str:
        """Returns the DeviceClass that a claim names."""
        return self.devices.device_class if self.devices else self.resource

    @property
    def terms(self) -> tuple[Term, ...]:
        """Returns the node selector terms of the required affinity: one per label dialect, ORed. Never empty."""
        return self.requirement.terms

    @property
    def place(self) -> tuple[Term, ...]:
        """Returns the widest terms of a pod that stays in the pool.

        Where labels alone decide who is a member, these labels, and terms of the class that do not name them (Muster's own
        label); elsewhere all that the class's own terms ask for, because a node outside the pool may have every label of a term
        but what keeps other sharing modes out.
        """
        selector = self.pool.selector
        if not by_labels(selector) or selector.sharing:
            return self.terms
        return (selector.labels, *(term for term in self.terms if not implies(term, selector.labels)))


def label_keys(pools: Iterable[PoolSpec]) -> frozenset[str]:
    """Returns every label that requirements on these pools may use: the grouping of a Fleet."""
    own = [label.key for pool in pools for label in pool.selector.labels]
    return frozenset([*own, *KEYS, labels.GPU_MEMORY, _DRIVER_MAJOR, _CUDA_MAJOR, labels.GPU_CLIQUE])


def class_in_pools(
    class_spec: ClassSpec, pools: Sequence[PoolSpec], fleet: Fleet, claims: Claims | None = None
) -> tuple[ClassInPool, ...]:
    """Returns the class in each of its pools, in its order of preference. Unknown slugs are left out."""
    by_slug = {pool.slug: pool for pool in pools}
    return tuple(class_in_pool(class_spec, by_slug[slug], fleet, claims) for slug in class_spec.pools if slug in by_slug)


def class_in_pool(class_spec: ClassSpec, pool: PoolSpec, fleet: Fleet, claims: Claims | None = None) -> ClassInPool:
    """Returns the class in this pool. `fleet` contains all nodes with their pools, grouped by `label_keys`.

    The affinity identifies the pool by labels that its nodes have, whatever other nodes exist today: pods of a manifest copied
    earlier must not be scheduled on a node that joins tomorrow. Members that no term selects are not counted. In a pool of DRA
    whose devices are known from `claims`, the claim selects products and memory, not the labels.
    """
    members = fleet.of_pool(pool.slug)
    resource, dra, problem = _resource(class_spec, pool, members)
    wished = PodRequirement(
        resources=((resource, class_spec.slots_per_pod), *class_spec.other_requests),
        pods=class_spec.nodes,
        domain=labels.GPU_CLIQUE if class_spec.topology == NVLINK_DOMAIN else "",
        pool=pool.slug,
        products=class_spec.products,
        modes=(class_spec.isolation,),
        profile=class_spec.profile,
        min_memory_mib=class_spec.min_memory_mib,
        min_driver=class_spec.min_driver,
        min_cuda=class_spec.min_cuda,
        nvlink=class_spec.topology == NVLINK and not pool.policy.nvlink,
        tolerations=_ANYWHERE,
    )
    wanted = [shape for shape in members if not static_reasons(wished, shape.node) and _offers(shape, resource)]
    nodes = [node for shape in wanted for node in shape.nodes]
    tolerations, warnings = pool_tolerations(pool, nodes)
    devices = None
    if dra and claims is not None and nodes:
        devices = select_devices(class_spec, resource, [node for shape in members for node in shape.nodes], claims())
        if devices is not None and devices.is_empty:
            problem = problem or f"No device of pool {pool.slug} is what the class requires."
    terms, strays, more_warnings = _affinity(_Wish(class_spec, pool, wished, devices), wanted, tolerations, fleet)
    own = ((CLASS_LABEL, class_spec.slug), (NAME_LABEL, ""))  # every workload of the class has a name of its own
    requirement = msgspec.structs.replace(wished, terms=terms, tolerations=tolerations, verdicts=GOOD, labels=own)
    if members and not wanted and not problem:
        (reason, _), *_ = Counter(
            reason.text for shape in members for reason in static_reasons(wished, shape.node)[:1] for _ in shape.nodes
        ).most_common(1) or [(f"It does not offer {resource}.", 0)]
        problem = f"No node of pool {pool.slug} matches the class. {reason}"
    return ClassInPool(
        class_spec=class_spec,
        pool=pool,
        resource=resource,
        dra=dra,
        requirement=requirement,
        warnings=(*more_warnings, *warnings, *(devices.warnings if devices else ())),
        strays=strays,
        problem=problem,
        devices=devices,
    )


def _resource(class_spec: ClassSpec, pool: PoolSpec, members: Sequence[Shape]) -> tuple[str, bool, str]:
    """Returns the resource that advertises most such slots in the pool, whether it is a DRA device class, and problems."""
    result: Counter[tuple[str, bool]] = Counter()
    for shape in members:
        node = shape.node
        if class_spec.products and node.product not in class_spec.products:
            continue
        for slots in node.resources:
            if slot_mode(node, slots) != class_spec.isolation:
                continue
            if class_spec.profile and partition_profile(canonical(class_spec.profile)) not in slot_profiles(node, slots):
                continue
            offered = _number_offered(slots)
            if offered:
                result[slots.name, slots.kind.startswith("dra-")] += offered * len(shape.nodes)
    if result:
        # With equal numbers the name decides, so that two looks at the same fleet write the same manifest.
        (name, dra), _ = min(result.items(), key=lambda row: (-row[1], row[0]))
        return name, dra, ""
    guess = labels.NVIDIA_GPU
    if class_spec.isolation == MIG:
        guess = labels.NVIDIA_MIG_PREFIX + canonical(class_spec.profile).replace("+", ".")
    if class_spec.isolation == MPS and any(slots.kind.startswith("dra-") for shape in members for slots in shape.node.resources):
        return guess, False, f"Pool {pool.slug} offers its GPUs through DRA. {_NO_MPS}"
    return guess, False, f"No node of pool {pool.slug} offers such slots." if members else f"Pool {pool.slug} has no nodes."


def _offers(shape: Shape, resource: str) -> bool:
    slots = shape.node.slots(resource)
    return slots is not None and bool(_number_offered(slots))


def _number_offered(slots: ResourceSlots) -> int:
    """Returns how many slots there are; 1 for shares without end."""
    return max(slots.capacity or 0, slots.predicted or 0, int(slots.profile == UNBOUNDED))


class _Wish(msgspec.Struct, frozen=True):
    """What a class asks of a pool: of its nodes, and through a claim of their devices."""

    class_spec: ClassSpec
    pool: PoolSpec
    requirement: PodRequirement
    devices: DeviceSelection | None


def _affinity(
    wish: _Wish,
    wanted: Sequence[Shape],
    tolerations: Sequence[Toleration],
    fleet: Fleet,
) -> tuple[tuple[Term, ...], tuple[PlacementNode, ...], tuple[str, ...]]:
    """Returns the terms, the nodes that they cannot keep out, and a sentence for each thing that labels cannot do here."""
    class_spec, pool, wished = wish.class_spec, wish.pool, wish.requirement
    nodes = [node for shape in wanted for node in shape.nodes]
    minimums = _minimums(class_spec, wished.resources[0][0])

    def identity(*, products: bool) -> Identity:
        return identify(pool, nodes, isolation=class_spec.isolation, products=products, more=minimums)

    # Labels of the pool's selector identify it; the product is added where the class is narrower, or where others pass as well.
    # Under the strategy single, slices have the name of whole GPUs: only the product label distinguishes them.
    single = class_spec.isolation == MIG and wished.resources[0][0] == labels.NVIDIA_GPU
    result = identity(products=(bool(class_spec.products) and wish.devices is None) or single)
    if list(_strays(wish, wanted, tolerations, fleet, result.terms)):
        result = identity(products=True)
    strays = list(_strays(wish, wanted, tolerations, fleet, result.terms))
    warnings = []
    if result.unselected:
        warnings.append(
            f"{named(result.unselected)} of pool {pool.slug} cannot be selected by label and "
            f"{'is' if len(result.unselected) == 1 else 'are'} not counted. Add the label {POOL_LABEL}={pool.slug}."
        )
    outside = tuple(node for shape in strays for node in shape.nodes)
    warnings += not_told_apart(pool, outside)
    expected = () if nodes else expected_terms(pool, class_spec.isolation, class_spec.products)
    return result.terms or expected or (pool_term(pool.slug),), outside, tuple(warnings)


def _minimums(class_spec: ClassSpec, resource: str) -> Term:
    """Returns what the class asks as minimum, in the labels of GPU feature discovery."""
    numbers: list[tuple[str, int]] = []
    if class_spec.min_memory_mib and (class_spec.isolation in (FULL, TIME_SLICED) or resource == labels.NVIDIA_GPU):
        numbers.append((labels.GPU_MEMORY, class_spec.min_memory_mib))
    for key, text in ((_DRIVER_MAJOR, class_spec.min_driver), (_CUDA_MAJOR, class_spec.min_cuda)):
        least = version(text) if text else None
        if least:
            numbers.append((key, least[0]))
    return tuple(Requirement(key, "gt", (str(number - 1),)) for key, number in numbers)


def _strays(
    wish: _Wish,
    wanted: Sequence[Shape],
    tolerations: Sequence[Toleration],
    fleet: Fleet,
    terms: Sequence[Term],
) -> Iterator[Shape]:
    """Yields shapes in the pool's clusters where the scheduler would put such a pod although they do not match the class."""
    if not wanted:
        return
    clusters = {shape.node.cluster for shape in wanted}
    ours = {id(shape) for shape in wanted}
    resource = wish.requirement.resources[0][0]
    for shape in fleet.offering(resource):
        node = shape.node
        if id(shape) in ours or node.cluster not in clusters or not any(matches(term, node.labels) for term in terms):
            continue
        if wish.devices and any(reason.code in OF_DEVICES for reason in static_reasons(wish.requirement, node)):
            continue
        if admits(node, tolerations, resource):
            yield shape
