"""Availability of a pool over its window, against its target."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.pools.policy import PoolPolicy

MET, AT_RISK, VIOLATED, NONE = "met", "at_risk", "violated", "none"
WINDOW_S = 30 * 24 * 3600
"""Seconds of the window that an availability target is measured over."""


class Observed(msgspec.Struct, frozen=True):
    """Share of known node-time that members were ready over the availability window."""

    percent: float
    seconds: int
    """Wall-clock seconds of the window in which the verdict of at least one member is known."""


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """An availability target beside what was observed. A pool without a target, or without an observation, has the state none."""

    target_percent: float | None
    state: str
    percent: float | None
    observed_s: int
    window_s: int = WINDOW_S

    @property
    def observed_state(self) -> str:
        """Returns the state, or `not_observed` for a target without an observation."""
        return "not_observed" if self.state == NONE and self.target_percent is not None else self.state


def availability(policy: PoolPolicy, observed: Observed | None, ready: int, nodes: int) -> Availability:
    """Returns the availability target beside what was observed; `ready` of `nodes` members are ready now.

    A target met exactly is met. Nothing observed is no evidence and never met: at risk while fewer members than the target are
    ready, else none.
    """
    target = policy.availability_target
    percent = observed.percent if observed else None
    if target is None:
        state = NONE
    elif percent is not None and percent < target:
        state = VIOLATED
    elif ready * 100 < target * nodes:
        state = AT_RISK
    else:
        state = NONE if percent is None or not nodes else MET
    return Availability(target_percent=target, state=state, percent=percent, observed_s=observed.seconds if observed else 0)


def worst_availability(rows: Sequence[Availability]) -> Availability:
    """Returns the worst availability of several pools; of equal states that with the lowest percent. State none for no pools."""
    rank = {VIOLATED: 0, AT_RISK: 1, MET: 2, NONE: 3}
    empty = Availability(target_percent=None, state=NONE, percent=None, observed_s=0)
    return min(rows, key=lambda row: (rank[row.state], row.percent if row.percent is not None else 101.0), default=empty)
