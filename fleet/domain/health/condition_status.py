"""Status of node conditions: which value of a condition is good, by Kubernetes' own types and monitors.toml.

In: a condition's type and status. Out: a Status; types whose good value is not documented are not evaluated.
"""

from __future__ import annotations

from fleet.domain.catalog import monitors
from fleet.domain.findings import Status

_KUBERNETES = {
    "Ready": "True",
    "MemoryPressure": "False",
    "DiskPressure": "False",
    "PIDPressure": "False",
    "NetworkUnavailable": "False",
}
"""Kubernetes' own types to their good status (https://kubernetes.io/docs/reference/node/node-status/)."""


def condition_status(kind: str, value: str) -> Status:
    """Returns pass or fail for a known type, unknown where the monitor does not know, not_applicable for other types."""
    good = _KUBERNETES.get(kind)
    monitor = monitors.by_type().get(kind)
    if good is None and monitor is not None:
        good = "False" if monitor.bad == "True" else "True"
    if value not in ("True", "False"):
        return Status.UNKNOWN
    if good is None:
        return Status.NOT_APPLICABLE
    return Status.PASS if value == good else Status.FAIL
