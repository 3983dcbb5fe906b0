"""How the reading of a section ended: the closed set of collection errors, and the report that goes with each."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How the reading of one section ended: the closed set of Muster's collection errors."""

    COLLECTED = "collected"
    ABSENT = "absent"
    """The API is not installed on this cluster: there is nothing of this kind, and that is known."""
    INCOMPLETE = "incomplete"
    """Some pages were read, then the list broke off: what was read is true, what was not seen is not gone."""
    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNAUTHORISED = "unauthorised"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    EXPIRED = "expired"
    REFUSED = "refused"
    """It answers, and with a refusal: a bad request, another protocol, a login of its own."""
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    SKIPPED = "skipped"
    """Not asked, because an earlier failure made the question pointless (cluster unreachable, deadline spent)."""


class SectionReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one section went.

    Sections are named nodes, pods, operator, device_plugin_config, resource_slices, resource_claims, scheduling, version,
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
