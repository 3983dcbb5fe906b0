"""Whether a pool keeps its own policy: every broken condition as a sentence with the nodes it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

import msgspec

from fleet.domain import labels
from fleet.domain.placement.matching import MODE_WORDS
from fleet.domain.placement.nodes import PlacementNode, slot_mode
from fleet.domain.placement.requirement import GOOD, version
from fleet.domain.pools.membership import Key
from fleet.domain.pools.policy import Pool, PoolPolicy
from fleet.domain.snapshot import Taint

KEPT, AT_RISK, BROKEN = "kept", "at_risk", "broken"


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a policy that does not hold. Codes are an open set of slugs."""

    code: str
    state: str
    """at_risk or broken."""
    text: str
    nodes: tuple[Key, ...] = ()
    pool: str = ""
    """The pool a class inherits it from; empty for a condition of its own."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A pool with what is known of its members now."""

    pool: Pool
    members: tuple[PlacementNode, ...]
    squatters: Mapping[Key, Sequence[str]] = {}
    """Pods on members that ask for no GPU and belong to no DaemonSet or GPU stack, as namespace/name."""
    ready_percent: float | None = None
    """Percent of known node-time ready over the last 30 days; None where nothing was measured."""
    today: date | None = None


def broken_conditions(seen: Seen) -> tuple[Broken, ...]:
    """Every condition that does not hold, in a fixed order; empty for a pool that keeps its policy."""
    if not seen.members:
        return (Broken(code="empty", state=BROKEN, text="No node is in this pool."),)
    return tuple(broken for condition in _CONDITIONS for broken in condition(seen))


def state_of(broken: Sequence[Broken]) -> str:
    """kept, at_risk or broken: the worst of its conditions."""
    states = {one.state for one in broken}
    return BROKEN if BROKEN in states else AT_RISK if AT_RISK in states else KEPT


def shown(state: str, policy: PoolPolicy, nodes: int, usable: int | None) -> str:
    """How a state stands on a page. A policy that holds is a promise kept only where something is promised (otherwise it is
    no_promise) and where not every card of its nodes is unusable (none_usable)."""
    if state != KEPT:
        return state
    if policy.promise_percent is None and policy.min_ready is None:
        return "no_promise"
    return "none_usable" if nodes and usable == 0 else KEPT


def _products(seen: Seen) -> Iterator[Broken]:
    if seen.pool.policy.one_product:
        told = Counter(node.product for node in seen.members if node.product)
        if len(told) > 1:
            odd = _odd(told)
            yield Broken(
                code="mixed_products",
                state=BROKEN,
                text=f"Its nodes have {len(told)} products: {_counted(told)}.",
                nodes=_keys(node for node in seen.members if node.product in odd),
            )


def _drivers(seen: Seen) -> Iterator[Broken]:
    policy = seen.pool.policy
    told = Counter(node.driver_version for node in seen.members if node.driver_version)
    if policy.one_driver and len({version(text) or text for text in told}) > 1:
        odd = _odd(told)
        yield Broken(
            code="driver_skew",
            state=AT_RISK,
            text=f"{len(told)} driver versions run side by side: {_counted(told)}.",
            nodes=_keys(node for node in seen.members if node.driver_version in odd),
        )
    least, most = version(policy.min_driver), version(policy.max_driver)
    outside = []
    for node in seen.members:
        here = version(node.driver_version)
        # A maximum of 580 means every 580.x: it is compared as far as it is written.
        if here and ((least and here < least) or (most and here[: len(most)] > most)):
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
        yield Broken(
            code="driver_out_of_range",
            state=BROKEN,
            text=f"{_nodes(outside)} another driver than the policy's {bounds}.",
            nodes=_keys(outside),
        )


def _taints(seen: Seen) -> Iterator[Broken]:
    policy = seen.pool.policy
    for wanted in policy.taints:
        without = [node for node in seen.members if wanted not in node.taints]
        if without:
            yield Broken(
                code="missing_taint",
                state=BROKEN,
                text=f"{_nodes(without)} no taint {_written(wanted)}: pods that ask for no GPU may land there.",
                nodes=_keys(without),
            )
    if not policy.taints:
        return
    known = set(policy.taints)
    extra: dict[Taint, list[PlacementNode]] = {}
    for node in seen.members:
        for taint in node.taints:
            standing = taint.key != labels.TAINT_UNSCHEDULABLE and not labels.is_transient_taint(taint.key)
            keeps_out = taint.effect != "PreferNoSchedule" and not any(one.tolerates(taint) for one in policy.tolerations)
            if taint not in known and standing and keeps_out:
                extra.setdefault(taint, []).append(node)
    for taint, nodes in extra.items():
        yield Broken(
            code="unexpected_taint",
            state=AT_RISK,
            text=f"{_nodes(nodes)} the taint {_written(taint)}, which the policy does not name: pods for this pool stay away.",
            nodes=_keys(nodes),
        )


def _modes(seen: Seen) -> Iterator[Broken]:
    allowed = seen.pool.policy.modes
    if not allowed:
        return
    wrong: dict[str, list[PlacementNode]] = {}
    unknown = []
    for node in seen.members:
        found = {slot_mode(node, slots) for slots in node.resources if slots.capacity}
        for mode in found - {None}:
            if mode is not None and mode not in allowed:
                wrong.setdefault(mode, []).append(node)
        if None in found or not found:
            unknown.append(node)
    words = " or ".join(MODE_WORDS.get(mode, mode) for mode in allowed)
    for mode, nodes in sorted(wrong.items()):
        yield Broken(
            code="wrong_mode",
            state=BROKEN,
            text=f"One slot is {MODE_WORDS[mode]} on {_few(nodes)}; the policy allows {words}.",
            nodes=_keys(nodes),
        )
    if unknown:
        yield Broken(
            code="unknown_mode",
            state=AT_RISK,
            text=f"Nobody can tell what one slot is on {_few(unknown)}.",
            nodes=_keys(unknown),
        )


def _squatters(seen: Seen) -> Iterator[Broken]:
    if seen.pool.policy.other_pods:
        return
    here = {node.key: seen.squatters[node.key] for node in seen.members if seen.squatters.get(node.key)}
    pods = [pod for names in here.values() for pod in names]
    if pods:
        some = f"{pods[0]} runs" if len(pods) == 1 else f"{len(pods)} pods run ({pods[0]} and others)"
        yield Broken(
            code="squatters",
            state=AT_RISK,
            text=f"{some} on its nodes without asking for a GPU.",
            nodes=tuple(here),
        )


def _ready(seen: Seen) -> Iterator[Broken]:
    policy = seen.pool.policy
    down = [node for node in seen.members if node.verdict not in GOOD]
    total = len(seen.members)
    ready = total - len(down)
    if policy.min_ready is not None and ready < policy.min_ready:
        yield Broken(
            code="too_few_ready",
            state=BROKEN,
            text=f"{ready} of {total} nodes are ready; the policy asks for at least {policy.min_ready}.",
            nodes=_keys(down),
        )
    promised = policy.promise_percent
    if promised is None:
        return
    if seen.ready_percent is not None and seen.ready_percent < promised:
        yield Broken(
            code="promise_broken",
            state=BROKEN,
            text=f"Its nodes were ready {seen.ready_percent:.1f} % of the last 30 days; {promised:g} % are promised.",
        )
    if ready * 100 < promised * total:
        yield Broken(
            code="below_promise",
            state=AT_RISK,
            text=f"{ready} of {total} nodes are ready now ({ready * 100 / total:.1f} %); {promised:g} % are promised.",
            nodes=_keys(down),
        )


def _review(seen: Seen) -> Iterator[Broken]:
    due = seen.pool.policy.review_on
    if due is not None and seen.today is not None and due < seen.today:
        yield Broken(code="review_overdue", state=AT_RISK, text=f"Its review was due on {due.isoformat()}.")


_CONDITIONS: tuple[Callable[[Seen], Iterator[Broken]], ...] = (
    _products,
    _drivers,
    _taints,
    _modes,
    _squatters,
    _ready,
    _review,
)


def _odd(told: Counter[str]) -> set[str]:
    """All but the most frequent one."""
    return {name for name, _ in told.most_common()[1:]}


def _counted(told: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(told.items(), key=lambda one: (-one[1], one[0])))


def _written(taint: Taint) -> str:
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"


def _few(nodes: Sequence[PlacementNode]) -> str:
    return nodes[0].name if len(nodes) == 1 else f"{len(nodes)} nodes"


def _nodes(nodes: Sequence[PlacementNode]) -> str:
    return f"{nodes[0].name} has" if len(nodes) == 1 else f"{len(nodes)} nodes have"


def _keys(nodes: Iterator[PlacementNode] | Sequence[PlacementNode]) -> tuple[Key, ...]:
    return tuple(node.key for node in nodes)
