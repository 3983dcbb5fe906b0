"""The health rules in display order. A new one is a file here and a line in the tuple."""

from __future__ import annotations

from fleet.domain.evaluation.rules import ClusterRule, Rule
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
    out_of_service,
    pcie_replay,
    pods_refused,
    power_throttling,
    predicted_to_fail,
    readiness_rule,
    row_remap_failure,
    row_remap_pending,
    stuck_out_of_service,
    thermal,
    thermal_throttling,
    upgrade_pending,
    xid,
    xid_incident,
)

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
    predicted_to_fail.RULE,
    out_of_service.RULE,
    readiness_rule.RULE,
    stuck_out_of_service.RULE,
    upgrade_pending.RULE,
    pods_refused.RULE,
)
CLUSTER_RULES: tuple[ClusterRule, ...] = (xid_incident.RULE,)
