"""Evaluates a pool's policy and availability target: violations with the nodes they are about, and the state they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date

import msgspec

from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.placement.matching import MODE_WORDS
from fleet.domain.placement.nodes import PlacementNode, slot_mode
from fleet.domain.placement.requirement import GOOD, version
from fleet.domain.pools.availability import AT_RISK, MET, VIOLATED, Observed, availability
from fleet.domain.pools.identity import POOL_LABEL, identify
from fleet.domain.pools.membership import Key
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.snapshot import Taint

_MOST_NAMES = 5


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a definition that does not hold. Ids are an open set of slugs."""

    id: str
    state: str
    """at_risk or violated."""
    text: str
    nodes: tuple[Key, ...] = ()
    pool: str = ""
    """The pool a class inherits it from; empty for a condition of its own."""

    @property
    def key(self) -> str:
        """Identity over time: texts and figures of a violation may change while it lasts."""
        return f"{self.pool}/{self.id}" if self.pool else self.id


class PoolSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A pool with its members and what is known of them now."""

    pool: PoolSpec
    members: tuple[PlacementNode, ...]
    squatters: Mapping[Key, Sequence[str]] = {}
    """Pods on members that ask for no GPU and belong to no DaemonSet or GPU stack, as namespace/name."""
    observed: Observed | None = None
    """None where no verdict of the window is known."""
    today: date | None = None


def find_violations(snapshot: PoolSnapshot) -> tuple[Violation, ...]:
    """Returns every condition that does not hold, in a fixed order; empty for a pool that meets its definition."""
    if not snapshot.members:
        return (Violation(id="empty", state=VIOLATED, text="No node is in this pool."),)
    return tuple(violation for condition in _CONDITIONS for violation in condition(snapshot))


def worst_state(violations: Iterable[Violation]) -> str:
    """Returns met, at_risk or violated: the worst of the violations."""
    return worst(violation.state for violation in violations)


def worst(states: Iterable[str]) -> str:
    """Returns the worst of compliance states; met for none of them."""
    rows = set(states)
    return VIOLATED if VIOLATED in rows else AT_RISK if AT_RISK in rows else MET


def _products(snapshot: PoolSnapshot) -> Iterator[Violation]:
    if snapshot.pool.policy.one_product:
        counts = Counter(node.product for node in snapshot.members if node.product)
        if len(counts) > 1:
            odd = _odd(counts)
            yield Violation(
                id="mixed_products",
                state=VIOLATED,
                text=f"Its nodes have {len(counts)} products: {_counted(counts)}.",
                nodes=_keys(node for node in snapshot.members if node.product in odd),
            )


def _drivers(snapshot: PoolSnapshot) -> Iterator[Violation]:
    policy = snapshot.pool.policy
    counts = Counter(node.driver_version for node in snapshot.members if node.driver_version)
    if policy.one_driver and len({version(text) or text for text in counts}) > 1:
        odd = _odd(counts)
        yield Violation(
            id="driver_skew",
            state=AT_RISK,
            text=f"{len(counts)} driver versions run side by side: {_counted(counts)}.",
            nodes=_keys(node for node in snapshot.members if node.driver_version in odd),
        )
    least, most = version(policy.min_driver), version(policy.max_driver)
    outside = []
    for node in snapshot.members:
        driver = version(node.driver_version)
        # A maximum of 580 means every 580.x: it is compared as far as it is written.
        if driver and ((least and driver < least) or (most and driver[: len(most)] > most)):
            outside.append(node)
    if outside:
        bounds = " and ".join(
            part
            for part in (
                f"at least {policy.min_driver}" if policy.min_driver else "",
                f"at most {policy.max_driver}" if policy.max_driver else "",
            )
            if part
        )
        yield Violation(
            id="driver_out_of_range",
            state=VIOLATED,
            text=f"{_nodes(outside)} another driver than the policy's {bounds}.",
            nodes=_keys(outside),
        )


def _untargetable(snapshot: PoolSnapshot) -> Iterator[Violation]:
    """Members that no label identifies: manifests cannot select them, so they are not counted in headroom."""
    nodes = identify(snapshot.pool, snapshot.members).unselected
    if nodes:
        names = ", ".join(node.name for node in nodes[:_MOST_NAMES]) + (" and others" if len(nodes) > _MOST_NAMES else "")
        yield Violation(
            id="untargetable",
            state=AT_RISK,
            text=f"{_few(nodes)} cannot be selected by label ({names}). Add the label {POOL_LABEL}={snapshot.pool.slug}.",
            nodes=_keys(nodes),
        )


def _taints(snapshot: PoolSnapshot) -> Iterator[Violation]:
    policy = snapshot.pool.policy
    for wanted in policy.taints:
        without = [node for node in snapshot.members if wanted not in node.taints]
        if without:
            yield Violation(
                id="missing_taint",
                state=VIOLATED,
                text=f"{_nodes(without)} no taint {wanted!s}: pods without a GPU may be scheduled there.",
                nodes=_keys(without),
            )
    if not policy.taints:
        return
    known = set(policy.taints)
    extra: dict[Taint, list[PlacementNode]] = {}
    for node in snapshot.members:
        for taint in node.taints:
            keeps_out = taint.effect != "PreferNoSchedule" and not any(
                toleration.tolerates(taint) for toleration in policy.tolerations
            )
            if taint not in known and is_lasting(taint) and keeps_out:
                extra.setdefault(taint, []).append(node)
    for taint, nodes in extra.items():
        yield Violation(
            id="unexpected_taint",
            state=AT_RISK,
            text=f"{_nodes(nodes)} the taint {taint!s}, which the policy does not name: pods for this pool avoid them.",
            nodes=_keys(nodes),
        )


def _modes(snapshot: PoolSnapshot) -> Iterator[Violation]:
    allowed = snapshot.pool.policy.modes
    if not allowed:
        return
    wrong: dict[str, list[PlacementNode]] = {}
    unknown = []
    for node in snapshot.members:
        modes = {slot_mode(node, slots) for slots in node.resources if slots.capacity}
        for mode in modes - {None}:
            if mode is not None and mode not in allowed:
                wrong.setdefault(mode, []).append(node)
        if None in modes or not modes:
            unknown.append(node)
    words = " or ".join(MODE_WORDS.get(mode, mode) for mode in allowed)
    for mode, nodes in sorted(wrong.items()):
        yield Violation(
            id="wrong_mode",
            state=VIOLATED,
            text=f"The sharing mode of {_few(nodes)} is {MODE_WORDS[mode]}; the policy allows {words}.",
            nodes=_keys(nodes),
        )
    if unknown:
        yield Violation(
            id="unknown_mode",
            state=AT_RISK,
            text=f"The sharing mode of {_few(unknown)} is unknown.",
            nodes=_keys(unknown),
        )


def _squatters(snapshot: PoolSnapshot) -> Iterator[Violation]:
    if snapshot.pool.policy.other_pods:
        return
    pods_by_node = {node.key: snapshot.squatters[node.key] for node in snapshot.members if snapshot.squatters.get(node.key)}
    pods = [pod for names in pods_by_node.values() for pod in names]
    if pods:
        some = f"{pods[0]} runs" if len(pods) == 1 else f"{len(pods)} pods run ({pods[0]} and others)"
        yield Violation(
            id="squatters",
            state=AT_RISK,
            text=f"{some} on its nodes without requesting a GPU.",
            nodes=tuple(pods_by_node),
        )


def _ready(snapshot: PoolSnapshot) -> Iterator[Violation]:
    policy = snapshot.pool.policy
    down = [node for node in snapshot.members if node.verdict not in GOOD]
    total = len(snapshot.members)
    ready = total - len(down)
    if not ready:
        result = f"{down[0].name}, its only node," if total == 1 else f"None of its {total} nodes"
        yield Violation(
            id="none_ready",
            state=AT_RISK,
            text=f"{result} is {'not ' if total == 1 else ''}ready.",
            nodes=_keys(down),
        )
    if policy.min_ready is not None and ready < policy.min_ready:
        yield Violation(
            id="too_few_ready",
            state=VIOLATED,
            text=f"{ready} of {total} nodes are ready; the policy asks for at least {policy.min_ready}.",
            nodes=_keys(down),
        )
    observed = snapshot.observed
    state = availability(policy, observed, ready, total)
    if state.state == VIOLATED and observed is not None:
        yield Violation(
            id="availability_violated",
            state=VIOLATED,
            text=f"Ready for {observed.percent:.1f} % of the known node-time of the last 30 days; the target is "
            f"{policy.availability_target:g} %.",
        )
    if policy.availability_target is not None and ready * 100 < policy.availability_target * total:
        yield Violation(
            id="availability_at_risk",
            state=AT_RISK,
            text=f"{ready} of {total} nodes are ready now ({ready * 100 / total:.1f} %); the target is "
            f"{policy.availability_target:g} %.",
            nodes=_keys(down),
        )


def _review(snapshot: PoolSnapshot) -> Iterator[Violation]:
    due = snapshot.pool.policy.review_on
    if due is not None and snapshot.today is not None and due < snapshot.today:
        yield Violation(id="review_overdue", state=AT_RISK, text=f"Its review was due on {due.isoformat()}.")


_CONDITIONS: tuple[Callable[[PoolSnapshot], Iterator[Violation]], ...] = (
    _products,
    _drivers,
    _untargetable,
    _taints,
    _modes,
    _squatters,
    _ready,
    _review,
)


def _odd(counts: Counter[str]) -> set[str]:
    """Returns all names but the most frequent."""
    return {name for name, _ in counts.most_common()[1:]}


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _few(nodes: Sequence[PlacementNode]) -> str:
    return nodes[0].name if len(nodes) == 1 else f"{len(nodes)} nodes"


def _nodes(nodes: Sequence[PlacementNode]) -> str:
    return f"{nodes[0].name} has" if len(nodes) == 1 else f"{len(nodes)} nodes have"


def _keys(nodes: Iterator[PlacementNode] | Sequence[PlacementNode]) -> tuple[Key, ...]:
    return tuple(node.key for node in nodes)
