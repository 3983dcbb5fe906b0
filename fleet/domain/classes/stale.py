"""Manifests in use that were written for an earlier placement of a class, and the nodes outside the class that they select."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.label_selectors import Requirement, matches, to_text
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.matching import static_reasons
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import PodRequirement, Toleration
from fleet.domain.pools.availability import AT_RISK
from fleet.domain.pools.compliance import Violation

MOST_KEPT = 50
"""Most earlier placements stored per class: pods of older ones are counted, and what they select is unknown."""
_LONGEST = 200


class KeptPlacement(msgspec.Struct, frozen=True, kw_only=True):
    """Placement that a manifest with this digest declares."""

    digest: str
    pool: str
    resource: str
    terms: tuple[tuple[Requirement, ...], ...]
    tolerations: tuple[Toleration, ...]


class UsedManifest(msgspec.Struct, frozen=True):
    """A running pod with the label of a class."""

    digest: str
    """Empty for a manifest without the annotation."""
    owner: str


def kept_placement(in_pool: ClassInPool, digest: str) -> KeptPlacement:
    """Returns what is kept of a class in a pool under the digest of its manifests."""
    requirement = in_pool.requirement
    return KeptPlacement(
        digest=digest,
        pool=in_pool.pool.slug,
        resource=in_pool.resource,
        terms=requirement.terms,
        tolerations=requirement.tolerations,
    )


def selected_outside(kept: KeptPlacement, in_pools: Sequence[ClassInPool], fleet: Fleet) -> tuple[PlacementNode, ...]:
    """Returns nodes where the scheduler would put a pod of such a manifest although no pool of the class wants it there.

    Whether a node is full or broken at the moment is left out: it may be free tomorrow.
    """
    wanted = [msgspec.structs.replace(in_pool.requirement, terms=(), verdicts=(), tolerations=_ANY) for in_pool in in_pools]
    clusters = {node.cluster for shape in fleet.of_pool(kept.pool) for node in shape.nodes}
    rows: list[PlacementNode] = []
    for shape in fleet.offering(kept.resource):
        node = shape.node
        if clusters and node.cluster not in clusters:
            continue
        if any(matches(term, node.labels) for term in kept.terms) and _admits(node, kept) and not _wants(wanted, node):
            rows += shape.nodes
    return tuple(rows)


_ANY = (Toleration("", "Exists"),)


def _wants(wanted: Iterable[PodRequirement], node: PlacementNode) -> bool:
    return any(not static_reasons(requirement, node) for requirement in wanted)


def _admits(node: PlacementNode, kept: KeptPlacement) -> bool:
    return not any(
        taint.effect in ("NoSchedule", "NoExecute")
        and is_lasting(taint)
        and not any(toleration.tolerates(taint) for toleration in kept.tolerations)
        for taint in node.taints
    )


def stale_manifests(
    used: Sequence[UsedManifest],
    in_pools: Mapping[str, ClassInPool],
    kept: Mapping[str, KeptPlacement],
    fleet: Fleet,
) -> tuple[Violation, ...]:
    """Returns the violation of pods whose manifest selects nodes outside the class now; empty where none does.

    `in_pools` are the class in its pools by the digest of their manifests today, `kept` earlier placements by digest.
    """
    old = [manifest for manifest in used if manifest.digest not in in_pools]
    outside: dict[str, tuple[PlacementNode, ...]] = {}
    for digest in {manifest.digest for manifest in old}:
        if digest in kept:
            outside[digest] = selected_outside(kept[digest], list(in_pools.values()), fleet)
    straying = [manifest for manifest in old if outside.get(manifest.digest) or manifest.digest not in kept]
    if not straying:
        return ()
    owners = {manifest.owner for manifest in straying}
    nodes = {node.key: node for manifest in straying for node in outside.get(manifest.digest, ())}
    text = (
        f"Manifests in use are stale ({len(straying)} pod{'' if len(straying) == 1 else 's'} of {len(owners)} "
        f"owner{'' if len(owners) == 1 else 's'})"
    )
    if nodes:
        text += f": they select {len(nodes)} node{'' if len(nodes) == 1 else 's'} outside the class"
    else:
        text += ": what they select is unknown"
    digest = next((manifest.digest for manifest in straying if manifest.digest in kept), "")
    if digest and in_pools:
        now = next((in_pool for in_pool in in_pools.values() if in_pool.pool.slug == kept[digest].pool), None)
        current = now or next(iter(in_pools.values()))
        text += f". Selected: {_terms(kept[digest].terms)}. The class now selects: {_terms(current.terms)}"
    return (Violation(id="stale_manifests", state=AT_RISK, text=f"{text}.", nodes=tuple(nodes)),)


def _terms(terms: Sequence[Sequence[Requirement]]) -> str:
    text = " or ".join(to_text(term) for term in terms)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
