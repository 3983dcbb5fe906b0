"""Manifests of a class that were copied earlier, and the nodes outside the class that their pods may be scheduled on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.classes.placements import AllowedPlacement, admits, narrower
from fleet.domain.classes.requirements import OF_DEVICES, ClassInPool
from fleet.domain.label_selectors import Requirement, matches, to_text
from fleet.domain.manifests.dra import device_selectors
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.matching import static_reasons
from fleet.domain.placement.nodes import MPS, TIME_SLICED, PlacementNode
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.availability import AT_RISK
from fleet.domain.pools.compliance import Violation

MOST_KEPT = 50
"""Most earlier placements stored per class that no pod uses; those in use are kept beside them."""
KEPT_DAYS = 183
"""How long a placement that no pod uses is kept after manifests last said it: half a year."""
_LONGEST = 200
_ANY = (Toleration("", "Exists"),)


class KeptPlacement(msgspec.Struct, frozen=True, kw_only=True):
    """Placement that a manifest with this digest declares."""

    digest: str
    pool: str
    resource: str
    terms: tuple[tuple[Requirement, ...], ...]
    tolerations: tuple[Toleration, ...]
    clusters: tuple[str, ...] = ()
    """Clusters that had members of the pool while manifests said this: they are applied there."""
    version: int = 0
    """Newest version of the class whose manifests said this; 0 where that was not kept."""
    definition: str = ""
    """Digest of the class and the pool that it was written for, without what nodes carry."""
    by_claim: bool = False
    """Whether a claim selects devices: nodes with other devices take no pod whatever their labels are."""
    selectors: tuple[str, ...] = ()
    """What the claim selects them by."""
    until: str = ""
    """When manifests last said this, in ISO 8601."""


class UsedManifest(msgspec.Struct, frozen=True):
    """A pod with the label of a class that holds devices, or waits to be scheduled."""

    digest: str
    """Empty for a manifest without the annotation."""
    owner: str
    cluster: str = ""


class Manifests(msgspec.Struct, frozen=True, kw_only=True):
    """What manifests of a class say now, and what they said before."""

    current: Mapping[str, ClassInPool]
    """Digest to the class in a pool, of each version in force."""
    kept: Mapping[str, KeptPlacement] = {}
    """Digest to placement, those of today included where they were kept."""
    versions: Mapping[int, Sequence[ClassInPool]] = {}
    """Versions in force by number: the newest, last, and those that requests are granted under."""

    def wanted_by(self, kept: KeptPlacement) -> Sequence[ClassInPool]:
        """Returns the class as pods of such a manifest must find it: in its version, or in the newest one."""
        if kept.version in self.versions:
            return self.versions[kept.version]
        return list(self.versions.values())[-1] if self.versions else list(self.current.values())


def definition(in_pool: ClassInPool) -> str:
    """Returns a digest of what decides where the class is in this pool, whatever nodes there are."""
    spec = in_pool.class_spec
    parts = [spec.isolation, spec.profile, spec.products, spec.min_memory_mib, spec.min_driver, spec.min_cuda, spec.topology]
    written = msgspec.json.encode([*parts, spec.nodes, in_pool.pool.slug, in_pool.pool.selector])
    return hashlib.sha256(written).hexdigest()[:16]


def kept_placement(in_pool: ClassInPool, digest: str, fleet: Fleet, version: int = 0, until: str = "") -> KeptPlacement:
    """Returns what is kept of a class in a pool under the digest of its manifests."""
    requirement = in_pool.requirement
    members = {node.cluster for shape in fleet.of_pool(in_pool.pool.slug) for node in shape.nodes}
    return KeptPlacement(
        digest=digest,
        pool=in_pool.pool.slug,
        resource=in_pool.resource,
        terms=requirement.terms,
        tolerations=requirement.tolerations,
        clusters=tuple(sorted({*members, *in_pool.pool.selector.clusters})),
        version=version,
        definition=definition(in_pool),
        by_claim=in_pool.devices is not None,
        selectors=tuple(device_selectors(in_pool)) if in_pool.dra else (),
        until=until,
    )


def manifests_now(
    before: Mapping[str, KeptPlacement],
    versions: Mapping[int, Sequence[ClassInPool]],
    in_use: Iterable[UsedManifest],
    fleet: Fleet,
    now: datetime,
) -> Manifests:
    """Returns what manifests of a class say now, and what they have said: earlier placements and, last, those of now.

    A placement of now keeps every cluster that its pool has spanned. Of earlier ones those that pods use are kept, of the others
    the newest MOST_KEPT of the last KEPT_DAYS.
    """
    current: dict[str, ClassInPool] = {}
    today: dict[str, KeptPlacement] = {}
    for number, in_pools in versions.items():
        for in_pool in in_pools:
            digest = placement_digest(in_pool)
            current[digest] = in_pool
            placement = kept_placement(in_pool, digest, fleet, number, now.isoformat())
            clusters = {*placement.clusters, *(before[digest].clusters if digest in before else ())}
            today[digest] = msgspec.structs.replace(placement, clusters=tuple(sorted(clusters)))
    oldest = (now - timedelta(days=KEPT_DAYS)).isoformat()
    earlier = {digest: placement for digest, placement in before.items() if digest not in today}
    used = {manifest.digest for manifest in in_use}
    idle = [digest for digest, item in earlier.items() if digest not in used and not "" < item.until < oldest]
    staying = {*idle[-MOST_KEPT:], *used}
    kept = {digest: placement for digest, placement in earlier.items() if digest in staying} | today
    return Manifests(current=current, kept=kept, versions=versions)


def selected_outside(
    kept: KeptPlacement, in_pools: Sequence[ClassInPool], fleet: Fleet, also: Iterable[str] = ()
) -> tuple[PlacementNode, ...]:
    """Returns nodes where the scheduler would put a pod of such a manifest although no pool of the class wants it there.

    Looked at are the clusters that the pool has spanned, those it spans now, and `also`; all where it had none. Whether a node
    is full or broken at the moment is left out: it may be free tomorrow.
    """
    clusters = {*kept.clusters, *also} | {node.cluster for shape in fleet.of_pool(kept.pool) for node in shape.nodes}
    rows: list[PlacementNode] = []
    for shape in fleet.offering(kept.resource):
        node = shape.node
        if kept.clusters and node.cluster not in clusters:
            continue
        if (
            any(matches(term, node.labels) for term in kept.terms)
            and admits(node, kept.tolerations, kept.resource)
            and not _wants(in_pools, shape, kept)
        ):
            rows += shape.nodes
    return tuple(rows)


def _wants(in_pools: Iterable[ClassInPool], shape: Shape, kept: KeptPlacement) -> bool:
    """Returns whether a pool of the class wants the node, or its devices are none that a claim of the manifest can get."""
    for in_pool in in_pools:
        wished = msgspec.structs.replace(in_pool.requirement, terms=(), verdicts=(), tolerations=_ANY, labels=())
        reasons = static_reasons(wished, shape.node)
        if not reasons:
            return True
        if kept.by_claim and in_pool.pool.slug == kept.pool and any(reason.code in OF_DEVICES for reason in reasons):
            slots = shape.node.slots(kept.resource)
            if slots is None or slots.kind != "dra-share" or _keeps_shares_out(kept.selectors) or _is_shared(in_pool):
                return True
    return False


def _is_shared(in_pool: ClassInPool) -> bool:
    """Returns whether the slots of the class are shares."""
    return in_pool.class_spec.isolation in (TIME_SLICED, MPS)


def _keeps_shares_out(selectors: Iterable[str]) -> bool:
    """Returns whether a claim says whether its devices may be shared.

    API servers before 1.36 may not know the field, so a claim says it only once shares are published next to whole devices.
    """
    return any("allowMultipleAllocations" in selector for selector in selectors)


def with_earlier(in_pools: Iterable[ClassInPool], kept: Iterable[KeptPlacement], fleet: Fleet) -> tuple[ClassInPool, ...]:
    """Returns the class with the placements of earlier manifests whose pods land nowhere that those of today do not.

    A policy admits them: a taint or a label dialect that came or went does not make a manifest wrong.
    """
    rows, earlier = tuple(in_pools), tuple(kept)
    result = []
    for in_pool in rows:
        now = AllowedPlacement(terms=in_pool.requirement.terms, tolerations=in_pool.requirement.tolerations)
        same = [item for item in earlier if (item.pool, item.resource) == (in_pool.pool.slug, in_pool.resource)]
        today = {node.key for node in _outside(now, kept_placement(in_pool, "", fleet), rows, fleet)}
        good: list[AllowedPlacement] = []
        for item in same[::-1]:
            placement = AllowedPlacement(terms=item.terms, tolerations=item.tolerations)
            if any(narrower(placement, other) for other in (now, *good)):
                continue
            if {node.key for node in _outside(now, item, rows, fleet)} <= today:
                good.append(placement)
        # The class and its pool are as they were: what the claim selected by then is right.
        unchanged = [item for item in same if item.definition == definition(in_pool)]
        shared = _keeps_shares_out(device_selectors(in_pool))
        selectors = dict.fromkeys(
            item.selectors for item in unchanged if item.selectors and (not shared or _keeps_shares_out(item.selectors))
        )
        result.append(msgspec.structs.replace(in_pool, earlier=tuple(good), earlier_selectors=tuple(selectors)))
    return tuple(result)


def _outside(
    now: AllowedPlacement, kept: KeptPlacement, in_pools: Sequence[ClassInPool], fleet: Fleet
) -> tuple[PlacementNode, ...]:
    """Returns what pods with these terms reach outside the class if they tolerate what manifests tolerate today as well."""
    tolerations = tuple(dict.fromkeys([*kept.tolerations, *now.tolerations]))
    return selected_outside(msgspec.structs.replace(kept, tolerations=tolerations), in_pools, fleet)


def others_matching(manifests: Manifests, fleet: Fleet) -> dict[str, tuple[PlacementNode, ...]]:
    """Returns pool to the nodes outside the class that manifests select whose class and pool are still defined as they were.

    The manifest was right when it was copied: nodes have changed since, in any cluster that the pool has spanned. It may be
    applied at any time, so it need not be in use.
    """
    defined = {definition(in_pool) for in_pools in manifests.versions.values() for in_pool in in_pools}
    result: dict[str, dict[tuple[str, str], PlacementNode]] = {}
    for kept in manifests.kept.values():
        if kept.definition in defined:
            nodes = selected_outside(kept, manifests.wanted_by(kept), fleet)
            result.setdefault(kept.pool, {}).update({node.key: node for node in nodes})
    return {pool: tuple(nodes.values()) for pool, nodes in result.items() if nodes}


def stale_manifests(used: Sequence[UsedManifest], manifests: Manifests, fleet: Fleet) -> tuple[Violation, ...]:
    """Returns the violation of pods whose manifest selects nodes outside the class now; empty where none does."""
    kept = manifests.kept
    old = [manifest for manifest in used if manifest.digest not in manifests.current]
    outside: dict[str, tuple[PlacementNode, ...]] = {}
    for digest in {manifest.digest for manifest in old}:
        if digest in kept:
            clusters = {manifest.cluster for manifest in old if manifest.digest == digest and manifest.cluster}
            outside[digest] = selected_outside(kept[digest], manifests.wanted_by(kept[digest]), fleet, clusters)
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
    if digest:
        in_pools = manifests.wanted_by(kept[digest])
        now = next((in_pool for in_pool in in_pools if in_pool.pool.slug == kept[digest].pool), None)
        current = now or next(iter(in_pools), None)
        if current is not None:
            text += _difference(kept[digest], current)
    return (Violation(id="stale_manifests", state=AT_RISK, text=f"{text}.", nodes=tuple(nodes)),)


def _difference(kept: KeptPlacement, now: ClassInPool) -> str:
    before, after = kept.tolerations, now.requirement.tolerations
    text = f". Selected: {_terms(kept.terms)}. The class now selects: {_terms(now.terms)}"
    if set(before) != set(after):
        text += f". Tolerated: {_tolerations(before)}. The class now tolerates: {_tolerations(after)}"
    return text


def _terms(terms: Sequence[Sequence[Requirement]]) -> str:
    return _cut(" or ".join(to_text(term) for term in terms))


def _tolerations(tolerations: Iterable[Toleration]) -> str:
    rows = [
        f"{item.key or 'every taint'}{f'={item.value}' if item.value else ''}{f':{item.effect}' if item.effect else ''}"
        for item in tolerations
    ]
    return _cut(", ".join(rows)) if rows else "no taint"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
