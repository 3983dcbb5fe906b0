"""The lint rules in display order. A new one is a file here and a line in the tuple."""

from __future__ import annotations

from fleet.domain.lint.rules import (
    config_against_labels,
    counters_not_enabled,
    device_bypass,
    device_taints,
    double_stack,
    driver_skew,
    driver_upgrade_failed,
    expected_not_met,
    kubelet,
    labels_disagree,
    labels_older_than_boot,
    many_shares,
    mig_layout,
    mixed_products,
    models_disagree,
    overcommitted,
    plugin_config,
    pods_without_gpu,
    slots_mismatch,
    stale_resources,
    two_exporters,
    unknown_accelerator,
    unrequested_use,
    untainted,
)
from fleet.domain.rules import ClusterRule, Rule

RULES: tuple[Rule, ...] = (
    kubelet.RULE,
    expected_not_met.RULE,
    driver_upgrade_failed.RULE,
    slots_mismatch.RULE,
    mig_layout.RULE,
    overcommitted.RULE,
    double_stack.RULE,
    device_taints.RULE,
    config_against_labels.RULE,
    plugin_config.RULE,
    labels_disagree.RULE,
    labels_older_than_boot.RULE,
    mixed_products.RULE,
    models_disagree.RULE,
    unknown_accelerator.RULE,
    stale_resources.RULE,
    unrequested_use.RULE,
    device_bypass.RULE,
    many_shares.RULE,
    two_exporters.RULE,
    untainted.RULE,
    pods_without_gpu.RULE,
)
CLUSTER_RULES: tuple[ClusterRule, ...] = (driver_skew.RULE, counters_not_enabled.RULE)
