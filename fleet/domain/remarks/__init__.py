"""Plain sentences about a node's devices: what contradicts, what is missing, what could not be known.

One file per subject; each yields remarks from a reading. Here stand the order and the choice of the one for a list.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.findings import Remark, Severity

_ORDER = {Severity.FATAL: 0, Severity.CRITICAL: 1, Severity.WARNING: 2, Severity.INFO: 3}
# Facts for the node's own page that need nobody's attention in a list.
QUIET = frozenset(
    {
        "stale_resource",
        "mig_layout_assumed",
        "dynamic_mig",
        "vgpu_guest",
        "second_vendor",
        "driver_upgrade_pending",
        "physical_assumed",
        "plugin_config_unread",
    }
)


def sort(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Worst first; equals keep their order."""
    return tuple(sorted(remarks, key=lambda remark: _ORDER[remark.severity]))


def reason(remarks: Iterable[Remark]) -> str:
    """The sentence for a list of nodes: the worst remark that needs a reader, or nothing."""
    return next((remark.text for remark in remarks if remark.id not in QUIET), "")
