"""Finds nodes that together have N free whole GPUs: on one node, or equal parts on nodes of one NVLink domain, rack or block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.placement.requirement import GOOD
from fleet.domain.snapshot import Taint
from fleet.domain.stranded.nodes import FreeNode
from fleet.domain.topology.levels import Domain, by_id, domain_of, levels

NODE, ANY = "node", "any"
SHAPES = (NODE, "nvlink_domain", "block", "rack", ANY)
"""As the API names them."""
MOST_GPUS = 4_096
MOST_GROUPS = 50
_KEEPS_OUT = ("NoSchedule", "NoExecute")


class Loss(msgspec.Struct, frozen=True):
    """What choosing a group costs, as a slug and a sentence."""

    id: str
    text: str


class NodeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes with room for all GPUs, an equal part on each."""

    shape: str
    """The closest shape that all of it is in: node, a level, or any."""
    domain: Domain | None
    """None for one node and for no common domain."""
    cluster: str
    nodes: tuple[FreeNode, ...]
    gpus_per_node: int
    loses: tuple[Loss, ...]
    taints: tuple[Taint, ...] = ()
    """What its pods must tolerate."""

    @property
    def gpus(self) -> int:
        return self.gpus_per_node * len(self.nodes)


class NodeGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: groups, the best first, and the nodes that could not be looked at."""

    groups: tuple[NodeGroup, ...]
    looked_at: int
    """Nodes that are ready, schedulable, recently read, and whose free GPUs are known."""
    not_ready: int
    unknown: int
    unlabelled: int
    """Of the nodes looked at, those without a label of the requested level."""


def find_groups(nodes: Iterable[FreeNode], gpus: int, shape: str, product: str = "") -> NodeGroups:
    """Returns the groups of nodes that hold so many free whole GPUs of one product in this shape, the best first.

    Every node gives the same number, as pods of one replica do; the fewest nodes win, then what leaves whole nodes whole. A group
    stays in one cluster. Shape any tries every level, the closest first.
    """
    wanted = [node for node in nodes if not product or node.node.product == product]
    good = [node for node in wanted if node.node.verdict in GOOD and node.node.schedulable and not node.node.stale]
    known = [node for node in good if node.gpus is not None]
    order = [NODE, *(level.id for level in levels()), ANY] if shape == ANY else [shape]
    groups_by_nodes: dict[tuple[tuple[str, str], ...], NodeGroup] = {}
    for kind in order:
        for group in _of_shape(known, gpus, kind):
            groups_by_nodes.setdefault(tuple(sorted(node.key for node in group.nodes)), group)
    ranked = sorted(groups_by_nodes.values(), key=lambda group: _rank(group, order))
    return NodeGroups(
        groups=tuple(ranked[:MOST_GROUPS]),
        looked_at=len(known),
        not_ready=len(wanted) - len(good),
        unknown=len(good) - len(known),
        unlabelled=0 if shape in (NODE, ANY) else sum(_domain(shape, node) is None for node in known),
    )


def _domain(level: str, node: FreeNode) -> Domain | None:
    return domain_of(level, node.node.cluster, node.node.labels)


def _rank(group: NodeGroup, order: Sequence[str]) -> tuple[object, ...]:
    broken = sum(loss.id == "whole_node" for loss in group.loses)
    return order.index(group.shape), len(group.nodes), broken, _left(group), group.cluster, group.nodes[0].key


def _left(group: NodeGroup) -> int:
    return sum((node.gpus or 0) - group.gpus_per_node for node in group.nodes)


def _of_shape(nodes: Sequence[FreeNode], gpus: int, shape: str) -> Iterator[NodeGroup]:
    """Yields one group per node, or the best one of each domain and product."""
    if shape == NODE:
        for node in nodes:
            if (node.gpus or 0) >= gpus:
                yield _group(NODE, None, [node], gpus)
        return
    together: dict[tuple[Domain | str, str], list[FreeNode]] = defaultdict(list)
    for node in nodes:
        domain: Domain | str | None = node.node.cluster if shape == ANY else _domain(shape, node)
        if domain is not None:
            together[domain, node.node.product].append(node)
    for (domain, _), members in together.items():
        chosen = _fewest(members, gpus)
        if chosen:
            yield _group(shape, domain if isinstance(domain, Domain) else None, chosen, gpus // len(chosen))


def _fewest(members: Sequence[FreeNode], gpus: int) -> list[FreeNode]:
    """Returns the fewest nodes with an equal part each, of those that would do the fullest; none where there is no room."""
    most = max((node.gpus or 0 for node in members), default=0)
    for number in range(1, min(len(members), gpus) + 1):
        part = gpus // number
        if gpus % number or part > most:
            continue
        able = [node for node in members if (node.gpus or 0) >= part]
        if len(able) >= number:
            return sorted(able, key=lambda node: (node.gpus or 0, node.key))[:number]
    return []


def _group(shape: str, domain: Domain | None, nodes: Sequence[FreeNode], part: int) -> NodeGroup:
    taints = {taint: None for node in nodes for taint in node.node.taints if taint.effect in _KEEPS_OUT and is_lasting(taint)}
    return NodeGroup(
        shape=shape,
        domain=domain,
        cluster=nodes[0].node.cluster,
        nodes=tuple(nodes),
        gpus_per_node=part,
        loses=(*_spans(nodes), *_leftovers(nodes, part)),
        taints=tuple(taints),
    )


def _spans(nodes: Sequence[FreeNode]) -> Iterator[Loss]:
    """Yields what is lost because the nodes are in several domains, or because no label states their domain."""
    if len(nodes) < 2:
        return
    for level in levels():
        domains = [_domain(level.id, node) for node in nodes]
        stated = {domain for domain in domains if domain is not None}
        if len(stated) == 1 and None not in domains:
            return  # wider levels contain this one
        if len(stated) > 1 or (stated and None in domains):
            number = len(stated) + domains.count(None)
            yield Loss(level.id, f"Spans {number} {level.title if number == 1 else _plural(level.title)}: {level.loss}.")
        elif not stated and level.id == "nvlink_domain":
            yield Loss(level.id, f"No label states an NVLink domain: {level.loss}, or that is unknown.")
        elif not stated:
            yield Loss(level.id, f"No label states the {level.title.lower()} of its nodes: whether it spans several is unknown.")


def _plural(title: str) -> str:
    return title if title.startswith("NVLink") and title.endswith("s") else f"{title if 'NVLink' in title else title.lower()}s"


def _leftovers(nodes: Sequence[FreeNode], part: int) -> Iterator[Loss]:
    """Yields what stays free on the chosen nodes: a whole node that is no longer whole, and small rests."""
    for node in nodes:
        slots = node.node.slots(node.resource)
        whole = slots.allocatable if slots else None
        left = (node.gpus or 0) - part
        if left <= 0:
            continue
        if whole is not None and node.gpus == whole:
            yield Loss("whole_node", f"{node.node.name} has {whole} free GPUs and would no longer be whole.")
        else:
            yield Loss("leftover", f"{left} of {node.gpus} free GPUs stay on {node.node.name}.")


def request_of(group: NodeGroup) -> str:
    """Returns what a manifest writes to stay in one domain of this kind, as YAML; empty without a common label."""
    key = "kubernetes.io/hostname" if group.shape == NODE else group.domain.key if group.domain else ""
    if not key:
        return ""
    title = "node" if group.shape == NODE else by_id()[group.shape].title
    return (
        f"# Kueue, on the pod template: all pods of the workload in one {title}\n"
        f"kueue.x-k8s.io/podset-required-topology: {key}\n"
        f"# LeaderWorkerSet, on the object: one group per {title}, which no other group shares\n"
        f"leaderworkerset.sigs.k8s.io/exclusive-topology: {key}\n"
    )
