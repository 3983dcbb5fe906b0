"""The health rules in display order. A new one is a file here and a line in the tuple."""

from __future__ import annotations

from fleet.domain.health.rules import (
    clock_events,
    dcgm_watches,
    ecc_uncorrectable,
    exporter_stale,
    framebuffer_pressure,
    gpu_lost,
    monitors,
    monitors_disagree,
    nvlink,
    pcie_replay,
    power_throttling,
    row_remap_failure,
    row_remap_pending,
    thermal,
    thermal_throttling,
    xid,
    xid_incident,
)
from fleet.domain.rules import ClusterRule, Rule

RULES: tuple[Rule, ...] = (
    exporter_stale.RULE,
    gpu_lost.RULE,
    xid.RULE,
    ecc_uncorrectable.RULE,
    row_remap_failure.RULE,
    row_remap_pending.RULE,
    nvlink.RULE,
    pcie_replay.RULE,
    thermal.RULE,
    thermal_throttling.RULE,
    clock_events.RULE,
    power_throttling.RULE,
    framebuffer_pressure.RULE,
    dcgm_watches.RULE,
    monitors.RULE,
    monitors_disagree.RULE,
)
CLUSTER_RULES: tuple[ClusterRule, ...] = (xid_incident.RULE,)
