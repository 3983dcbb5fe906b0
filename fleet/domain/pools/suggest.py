"""Suggested pools: by the platform team's labels, by node pool, else by product and mode."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.devices.sources.gfd import short_form
from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.nodes import PlacementNode, slot_mode
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector, selects
from fleet.domain.snapshot import Taint

_OWN_NAMES = frozenset(
    {"node-pool", "nodepool", "gpu-pool", "gpupool", "pool", "purpose", "gpu-purpose", "workload", "workload-type"}
)
"""Names (after the slash) of labels by which platform teams state a node's purpose."""
_WORDS = (
    (("train", "finetune", "fine-tune", "fine-tuning"), "training and fine-tuning"),
    (("batch",), "batch inference"),
    (("notebook", "notebooks", "dev", "research", "experiment", "experiments", "sandbox"), "experiments and notebooks"),
    (("inference", "serving", "serve", "online"), "online inference"),
)
_NOT_OF_A_SLUG = re.compile(r"[^a-z0-9]+")
_SHORT = {"mig": "mig", "time-sliced": "time-sliced", "mps": "mps", "mig-shared": "mig-shared", "partition": "partitioned"}


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A pool to create, why it is suggested, and its number of nodes."""

    pool: PoolSpec
    because: str
    nodes: int


def suggest(nodes: Sequence[PlacementNode], taken: Iterable[str] = ()) -> tuple[Suggestion, ...]:
    """Returns pools for nodes that are in none, biggest first. `taken` are existing slugs."""
    groups: dict[tuple[str, str, str], list[PlacementNode]] = {}
    for node in nodes:
        if not node.pools:
            key, value = _pool_label(node)
            groups.setdefault((key, value, node.product), []).append(node)
    values = {(key, value) for key, value, _ in groups}
    split = {pair for pair in values if sum(1 for key, value, _ in groups if (key, value) == pair) > 1}
    used = set(taken)
    rows = []
    for (key, value, product), members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        if key:
            rows.append(_by_label(key, value, product if (key, value) in split else "", members, used))
        elif product:
            rows.extend(_by_product(product, members, used, nodes))
    return tuple(sorted(rows, key=lambda row: (-row.nodes, row.pool.slug)))


def _pool_label(node: PlacementNode) -> tuple[str, str]:
    """Returns the label that best states the node's pool: the team's own before the cloud's."""
    own = sorted(key for key, value in node.labels.items() if value and key.rpartition("/")[2].lower() in _OWN_NAMES)
    own = [key for key in own if key not in labels.NODE_POOL_LABELS]
    for key in (*own, *labels.NODE_POOL_LABELS):
        if node.labels.get(key):
            return key, node.labels[key]
    return "", ""


def _by_label(key: str, value: str, product: str, members: Sequence[PlacementNode], used: set[str]) -> Suggestion:
    selector = PoolSelector(labels=(Requirement(key, "in", (value,)),), products=(product,) if product else ())
    name = f"{value}-{short_form(product)}" if product else value
    pool = PoolSpec(slug=_slug(name, used), title=name, selector=selector, policy=_policy(members, value))
    return Suggestion(pool=pool, because=f"{_count(members)} the label {key}={value}.", nodes=len(members))


def _by_product(
    product: str, members: Sequence[PlacementNode], used: set[str], nodes: Sequence[PlacementNode]
) -> Iterable[Suggestion]:
    """Returns suggestions for nodes without any such label: one pool per product, partitioning and sharing."""
    kinds: dict[tuple[str | None, str | None], list[PlacementNode]] = {}
    for node in members:
        kinds.setdefault((node.partitioning, node.sharing), []).append(node)
    for (partitioning, sharing), alike in kinds.items():
        result = len(kinds) == 1
        if not result and (partitioning is None or sharing is None):
            continue  # a pool cannot select by an unknown value
        selector = PoolSelector(
            products=(product,),
            partitioning=() if result or partitioning is None else (partitioning,),
            sharing=() if result or sharing is None else (sharing,),
        )
        selector = _without_others(selector, alike, nodes)
        policy = _policy(alike, "")
        words = [short_form(product), *(_SHORT[mode] for mode in policy.modes if mode in _SHORT)]
        slug = _slug("-".join(words), used)
        pool = PoolSpec(slug=slug, title=" ".join(words), selector=selector, policy=policy)
        yield Suggestion(pool=pool, because=f"{_count(alike)} {product} and no label that names a pool.", nodes=len(alike))


def _without_others(selector: PoolSelector, alike: Sequence[PlacementNode], nodes: Sequence[PlacementNode]) -> PoolSelector:
    """Returns the selector narrowed to these nodes: by their clusters, then by pool labels that only others have."""
    ours = {node.key for node in alike}
    others = [node for node in nodes if node.key not in ours and selects(selector, node)]
    clusters = {node.cluster for node in alike}
    if any(node.cluster not in clusters for node in others):
        selector = msgspec.structs.replace(selector, clusters=tuple(sorted(clusters)))
        others = [node for node in others if selects(selector, node)]
    keys = sorted({key for key, _ in map(_pool_label, others) if key and not any(key in node.labels for node in alike)})
    return msgspec.structs.replace(selector, labels=tuple(Requirement(key, "absent") for key in keys))


def _policy(members: Sequence[PlacementNode], row: str) -> PoolPolicy:
    """Returns a policy that the members meet unchanged, as far as known."""
    modes = {slot_mode(node, slots) for node in members for slots in node.resources if slots.capacity}
    return PoolPolicy(
        purpose=_purpose(row),
        modes=() if None in modes else tuple(sorted(mode for mode in modes if mode is not None)),
        taints=common_taints(members),
        one_product=len({node.product for node in members}) == 1,
        one_driver=len({node.driver_version for node in members}) == 1,
    )


def common_taints(members: Sequence[PlacementNode]) -> tuple[Taint, ...]:
    """Returns the taints that every member has, without transient ones and cordons."""
    if not members:
        return ()
    shared = set(members[0].taints).intersection(*(node.taints for node in members[1:]))
    standing = [item for item in shared if is_lasting(item)]
    return tuple(sorted(standing, key=lambda row: (row.key, row.effect, row.value)))


def _purpose(text: str) -> str:
    words = set(_NOT_OF_A_SLUG.sub(" ", text.lower()).split())
    for needles, purpose in _WORDS:
        if any(word == needle or word.startswith(f"{needle}in") for word in words for needle in needles):
            return purpose
    return ""


def _slug(text: str, used: set[str]) -> str:
    base = _NOT_OF_A_SLUG.sub("-", text.lower()).strip("-")[:50].strip("-") or "pool"
    slug, number = base, 2
    while slug in used:
        slug, number = f"{base}-{number}", number + 1
    used.add(slug)
    return slug


def _count(members: Sequence[PlacementNode]) -> str:
    return "1 node has" if len(members) == 1 else f"{len(members)} nodes have"
