"""How a pool is expressed in labels that its nodes carry: one node selector term per label dialect, ORed by the scheduler.

A term names the pool, not the nodes that happen to be outside today: a node that joins the cluster tomorrow with the same
resource must not receive pods of the pool. Labels of single nodes are never used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.label_selectors import Requirement, matches
from fleet.domain.placement.nodes import FULL, MIG, MPS, PARTITION, TIME_SLICED, PlacementNode
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector

POOL_LABEL = "muster.dev/pool"
Term = tuple[Requirement, ...]
PRODUCTS = (labels.GPU_PRODUCT, labels.AMD_PRODUCT, labels.INTEL_PRODUCT, labels.GAUDI_PRODUCT)
ACCELERATORS = (
    labels.GKE_ACCELERATOR,
    labels.AKS_ACCELERATOR,
    labels.AWS_ACCELERATOR,
    *(prefix + "name" for prefix in labels.KARPENTER_GPU_PREFIXES),
)
DIALECTS: tuple[tuple[str, ...], ...] = (
    (POOL_LABEL,),
    PRODUCTS,
    ACCELERATORS,
    labels.NODE_POOL_LABELS,
    (labels.INSTANCE_TYPE, labels.INSTANCE_TYPE_OLD),
)
"""Label keys that identify a kind of node, the most specific dialect first: Muster's own label, discovery, cloud, node pool."""
_KINDS = tuple(key for dialect in DIALECTS[1:] for key in dialect)
_MOST_NAMES = 20
SHARING_KEYS = (
    labels.GPU_SHARING_STRATEGY,
    labels.GPU_REPLICAS,
    labels.GPU_SLICES_GI,
    labels.GKE_SHARING_STRATEGY,
    labels.GKE_PARTITION_SIZE,
    labels.AMD_PARTITION,
)
KEYS = frozenset([key for dialect in DIALECTS for key in dialect] + list(SHARING_KEYS))
"""Labels that a term may use besides the pool's own selector: the grouping of a Fleet."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A pool in labels. Without terms, no label of its nodes identifies it."""

    terms: tuple[Term, ...]
    unselected: tuple[PlacementNode, ...]
    """Members that no term selects."""


def identify(
    pool: PoolSpec, nodes: Sequence[PlacementNode], *, isolation: str = "", products: bool = False, more: Term = ()
) -> Identity:
    """Returns the terms that select `nodes` of the pool.

    `isolation` adds what keeps other sharing modes out, `products` asks for the product even where labels of the pool's selector
    or Muster's own label identify it (they say which pool, not which of its nodes), `more` are requirements that hold for a term
    if they hold for all of its nodes (a minimum driver).
    """
    own = pool.selector.labels
    terms: dict[Term, None] = {}
    rest = list(nodes)
    if by_labels(pool.selector) and not products:
        for group in _by(_guards_of(isolation), rest):
            terms[_term(own, group, isolation, more)] = None
        rest = []
    for dialect in DIALECTS:
        for key in dialect:
            carriers = [node for node in rest if _carries(node, key, pool.slug)]
            # Pods of one term share its guards: nodes for which other guards hold get a term of their own.
            for group in _by(_guards_of(isolation), carriers):
                for kind in _by_kind(group) if products and key == POOL_LABEL else [(group, ())]:
                    terms[_term((*own, _one_of(key, kind[0]), *kind[1]), kind[0], isolation, more)] = None
            rest = [node for node in rest if not _carries(node, key, pool.slug)]
    return Identity(terms=tuple(terms), unselected=tuple(rest))


def expected_terms(pool: PoolSpec, isolation: str, products: Sequence[str]) -> tuple[Term, ...]:
    """Returns the terms for members that are still to come, of a pool by labels that has none now; empty for other pools.

    A pool that an autoscaler has emptied is the same pool when its nodes are back. What they will carry beside the labels of the
    selector is what a node of this kind carries with GPU feature discovery.
    """
    if not by_labels(pool.selector):
        return ()
    product = [Requirement(labels.GPU_PRODUCT, "in", tuple(sorted(products)))] if products and isolation == FULL else []
    guards = _guards_of(isolation)
    positive = [guard for guard in guards if guard.operator == "in"]
    kept_out = [guard for guard in guards if guard.operator != "in"]
    starts = [[*pool.selector.labels, *product, guard] for guard in positive] or [[*pool.selector.labels, *product]]
    return tuple(tuple(dict.fromkeys([*start, *kept_out])) for start in starts)


def by_labels(selector: PoolSelector) -> bool:
    """Returns whether the labels of the selector alone decide which nodes are in the pool."""
    return bool(selector.labels) and not (selector.products or selector.partitioning)


def pool_term(slug: str) -> Term:
    """Returns the term over Muster's own label: what a manifest selects where nothing else identifies the pool."""
    return (Requirement(POOL_LABEL, "in", (slug,)),)


def _carries(node: PlacementNode, key: str, slug: str) -> bool:
    value = node.labels.get(key)
    return value == slug if key == POOL_LABEL else bool(value)


def _one_of(key: str, nodes: Sequence[PlacementNode]) -> Requirement:
    return Requirement(key, "in", tuple(sorted({node.labels[key] for node in nodes})))


def _by_kind(nodes: Sequence[PlacementNode]) -> list[tuple[Sequence[PlacementNode], Term]]:
    """Returns the nodes by their most specific label of a kind of node, with the requirement on it; none where they have none."""
    groups: dict[str, list[PlacementNode]] = {}
    for node in nodes:
        groups.setdefault(next((key for key in _KINDS if node.labels.get(key)), ""), []).append(node)
    return [(group, (_one_of(key, group),) if key else ()) for key, group in groups.items()]


def _term(start: Iterable[Requirement], group: Sequence[PlacementNode], isolation: str, more: Term) -> Term:
    wanted = [*_guards_of(isolation), *more]
    kept = [item for item in wanted if all(matches((item,), node.labels) for node in group)]
    if isolation == TIME_SLICED:
        kept += _replicas(group)
    if isolation in (FULL, PARTITION):
        kept += _partition_modes(group)
    return tuple(dict.fromkeys([*start, *kept]))


def _guards_of(isolation: str) -> tuple[Requirement, ...]:
    """Returns the requirements that a node of this isolation meets and one of another does not.

    NotIn also holds without a label.
    """
    if isolation == FULL:
        return (
            Requirement(labels.GPU_SHARING_STRATEGY, "notin", ("mps", "time-slicing")),
            Requirement(labels.GPU_SLICES_GI, "absent"),
            Requirement(labels.GKE_SHARING_STRATEGY, "notin", ("mps", "time-sharing")),
            Requirement(labels.GKE_PARTITION_SIZE, "absent"),
        )
    if isolation == MIG:
        return (
            Requirement(labels.GPU_SHARING_STRATEGY, "notin", ("mps", "time-slicing")),
            Requirement(labels.GKE_SHARING_STRATEGY, "notin", ("mps", "time-sharing")),
        )
    if isolation == TIME_SLICED:
        return (
            Requirement(labels.GPU_SHARING_STRATEGY, "in", ("time-slicing",)),
            Requirement(labels.GKE_SHARING_STRATEGY, "in", ("time-sharing",)),
        )
    if isolation == MPS:
        return (
            Requirement(labels.GPU_SHARING_STRATEGY, "in", ("mps",)),
            Requirement(labels.GKE_SHARING_STRATEGY, "in", ("mps",)),
        )
    return ()


def _replicas(group: Sequence[PlacementNode]) -> list[Requirement]:
    values = {node.labels.get(labels.GPU_REPLICAS, "") for node in group}
    return [] if "" in values else [Requirement(labels.GPU_REPLICAS, "in", tuple(sorted(values)))]


def _partition_modes(group: Sequence[PlacementNode]) -> list[Requirement]:
    """Returns what keeps AMD's GPUs in another partition mode out: they have the same product, and often the same resource."""
    values = {node.labels.get(labels.AMD_PARTITION, "") for node in group}
    if not any(node.labels.get(labels.AMD_PRODUCT) for node in group):
        return []
    if values == {""}:
        return [Requirement(labels.AMD_PARTITION, "absent")]
    return [] if "" in values else [Requirement(labels.AMD_PARTITION, "in", tuple(sorted(values)))]


def _by(guards: Sequence[Requirement], nodes: Sequence[PlacementNode]) -> list[list[PlacementNode]]:
    """Returns the nodes grouped by which guards hold for them, in their order."""
    groups: dict[tuple[bool, ...], list[PlacementNode]] = {}
    for node in nodes:
        groups.setdefault(tuple(matches((guard,), node.labels) for guard in guards), []).append(node)
    return list(groups.values())


def labelling(slug: str, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Returns (where, text to copy) for setting Muster's pool label on nodes that exist and where new ones come from."""
    pair, line = f"{POOL_LABEL}={slug}", f"{POOL_LABEL}: {slug}"
    path = f"/metadata/labels/{POOL_LABEL.replace('/', '~1')}"
    return (
        ("kubectl", f"kubectl label node {' '.join(names[:_MOST_NAMES]) or 'NODE'} {pair}"),
        (
            "Kustomize",
            (
                "patches:\n  - target:\n      kind: Node\n    patch: |-\n      - op: add\n"
                f"        path: {path}\n        value: {slug}"
            ),
        ),
        ("GKE", f"gcloud container node-pools update NODE_POOL --cluster=CLUSTER --node-labels={pair}"),
        (
            "EKS",
            (
                "aws eks update-nodegroup-config --cluster-name CLUSTER --nodegroup-name NODE_GROUP "
                f"--labels 'addOrUpdateLabels={{{pair}}}'"
            ),
        ),
        ("AKS", f"az aks nodepool update --resource-group GROUP --cluster-name CLUSTER --name NODE_POOL --labels {pair}"),
        (
            "Karpenter",
            (
                "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata:\n  name: NODE_POOL\nspec:\n  template:\n"
                f"    metadata:\n      labels:\n        {line}"
            ),
        ),
        (
            "OpenShift",
            (
                "apiVersion: machine.openshift.io/v1beta1\nkind: MachineSet\nmetadata:\n  name: MACHINE_SET\nspec:\n  template:\n"
                f"    spec:\n      metadata:\n        labels:\n          {line}"
            ),
        ),
    )
