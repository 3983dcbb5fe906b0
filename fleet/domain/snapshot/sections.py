"""How the reading of a section ended: the closed set of collection errors, the report of each, and objects that were left out."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How the reading of one section ended: the closed set of Muster's collection errors."""

    COLLECTED = "collected"
    ABSENT = "absent"
    """The API is not installed on this cluster: it is known that no such objects exist."""
    INCOMPLETE = "incomplete"
    """The list ended early: what was read is true, what was not read may still exist."""
    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNAUTHORISED = "unauthorised"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    EXPIRED = "expired"
    REFUSED = "refused"
    """It refuses the request: bad request, another protocol, or its own login."""
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    SKIPPED = "skipped"
    """Not requested, because of an earlier failure (cluster unreachable, deadline exceeded)."""


class SectionReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one section went.

    Sections are named nodes, pods, operator, device_plugin_config, resource_slices, resource_claims, scheduling, queues, version,
    permissions, telemetry, model_servers, events.
    """

    name: str
    outcome: Outcome
    count: int | None = None
    """Objects read; None where nothing was."""
    took_ms: int = 0
    reason: str = ""
    """One plain sentence for people; empty when collected."""
    hides: str = ""
    """What stays unknown because of it; empty when collected."""

    @property
    def complete(self) -> bool:
        """Returns whether what is not in the snapshot is really not in the cluster."""
        return self.outcome in (Outcome.COLLECTED, Outcome.ABSENT)


class ObjectProblem(msgspec.Struct, frozen=True, order=True):
    """One object that was left out or shortened because Kubernetes would not have accepted it."""

    kind: str
    """node, pod, sample … (the singular of the list it came in)."""
    name: str
    text: str
    """One sentence: what was wrong and what Muster did."""
    left_out: bool = True
    """False where the object was kept with shortened values."""
