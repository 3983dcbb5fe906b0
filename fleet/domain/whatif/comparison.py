"""Compares a kept forecast with what happened: per node, the facts that the change was to alter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.snapshot import Taint
from fleet.domain.whatif.forecast import NodeOutlook

AS_FORECAST, NOT_APPLIED, DIFFERS, REMOVED, NOT_COMPARED = "as_forecast", "not_applied", "differs", "removed", "not_compared"
STATES = (AS_FORECAST, DIFFERS, NOT_APPLIED, REMOVED, NOT_COMPARED)
Facts = dict[str, Any]
"""Name of a fact to its value; None is unknown."""


class ForecastNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a forecast. `before` None: a node that was to be added, whose name is made up."""

    name: str
    before: Facts | None
    after: Facts


class FactDifference(msgspec.Struct, frozen=True):
    """One fact that is not as forecast."""

    fact: str
    forecast: Any
    actual: Any


class NodeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one node."""

    name: str
    state: str
    """One of STATES."""
    differences: tuple[FactDifference, ...] = ()


def facts(  # noqa: PLR0913 the facts of a node, given by name
    *,
    verdict: str,
    schedulable: bool,
    mode: str,
    driver_version: str,
    taints: Iterable[Taint],
    pools: Iterable[str],
    resources: Iterable[ResourceSlots],
) -> Facts:
    """Returns what is compared of a node. Slots that pods hold are not: pods come and go."""
    return {
        "schedulable": schedulable,
        "mode": mode,
        "driver_version": driver_version,
        "taints": sorted(f"{taint.key}={taint.value}:{taint.effect}" for taint in taints),
        "pools": sorted(pools),
        "allocatable": {slots.name: slots.allocatable for slots in sorted(resources, key=lambda slots: slots.name)},
        "verdict": str(verdict),
    }


def facts_of(outlook: NodeOutlook) -> Facts:
    """Returns the facts of one side of a forecast."""
    return facts(
        verdict=outlook.verdict,
        schedulable=outlook.schedulable,
        mode=outlook.mode,
        driver_version=outlook.driver_version,
        taints=outlook.taints,
        pools=outlook.pools,
        resources=outlook.resources,
    )


def compare(kept: Sequence[ForecastNode], actual: Mapping[str, Facts]) -> list[NodeOutcome]:
    """Returns the outcome of each node. `actual`: the nodes of the cluster now; one that is missing was removed.

    Only facts that the forecast changes are compared. As forecast: all of them are as after; not applied: all as before.
    """
    return [_outcome(node, actual.get(node.name)) for node in kept]


def _outcome(node: ForecastNode, now: Facts | None) -> NodeOutcome:
    if node.before is None:
        return NodeOutcome(name=node.name, state=NOT_COMPARED)
    if now is None:
        return NodeOutcome(name=node.name, state=REMOVED)
    changed = [fact for fact, value in node.after.items() if node.before.get(fact) != value]
    wrong = tuple(FactDifference(fact, node.after[fact], now.get(fact)) for fact in changed if now.get(fact) != node.after[fact])
    if not wrong:
        return NodeOutcome(name=node.name, state=AS_FORECAST)
    before = all(now.get(fact) == node.before.get(fact) for fact in changed)
    return NodeOutcome(name=node.name, state=NOT_APPLIED if before else DIFFERS, differences=wrong)


def summary(outcomes: Iterable[NodeOutcome]) -> dict[str, int]:
    """Returns state to the number of nodes, states without nodes left out."""
    counts = dict.fromkeys(STATES, 0)
    for outcome in outcomes:
        counts[outcome.state] += 1
    return {state: number for state, number in counts.items() if number}


def sentence(counts: Mapping[str, int]) -> str:
    """Returns the outcome as a sentence."""
    words = {
        AS_FORECAST: "as forecast",
        DIFFERS: "otherwise",
        NOT_APPLIED: "not changed (yet)",
        REMOVED: "gone",
        NOT_COMPARED: "new, not compared",
    }
    if not counts:
        return "The forecast changed no node."
    total = sum(counts.values())
    if len(counts) == 1:
        state = next(iter(counts))
        return f"{'The node is' if total == 1 else f'All {total:,} nodes are'} {words[state]}."
    return f"Of {total:,} nodes, {', '.join(f'{number:,} {words[state]}' for state, number in counts.items())}."
