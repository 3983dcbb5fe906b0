"""Findings on a node's state: kubelet, driver upgrade, MIG manager, virtual GPUs, a second vendor."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.findings import Evidence, Finding, Severity


def maintenance(claims: NodeClaims) -> Finding | None:
    """Returns the finding on intended work that explains why the node advertises less than it has; None without such work."""
    node_labels = claims.node.labels
    upgrade = claims.upgrade
    if upgrade.phase == "in_progress":
        (label,) = upgrade.evidence
        if upgrade.value == labels.PAUSED_FOR_DRIVER_UPGRADE:
            return _change("driver_upgrade", "Driver upgrade in progress: the GPU stack is paused.", label)
        return _change("driver_upgrade", f"Driver upgrade in progress ({upgrade.value}).", label)
    state, desired = node_labels.get(labels.MIG_CONFIG_STATE, ""), node_labels.get(labels.MIG_CONFIG, "")
    if state in labels.MIG_STATE_CHANGING:
        return Finding(
            rule="mig_change",
            severity=Severity.INFO,
            text=f"The MIG layout is being changed to {desired or 'another'} ({state}).",
            evidence=(Evidence("label", labels.MIG_CONFIG, desired), Evidence("label", labels.MIG_CONFIG_STATE, state)),
        )
    for key, value in node_labels.items():
        if value == labels.PAUSED_FOR_MIG_CHANGE and key.startswith(labels.GPU_DEPLOY_PREFIX):
            return _change(
                "mig_change", "The MIG layout is being changed: the GPU stack is paused.", Evidence("label", key, value)
            )
    return None


def _change(name: str, text: str, evidence: Evidence) -> Finding:
    return Finding(rule=name, severity=Severity.INFO, text=text, evidence=(evidence,))


def about_node(claims: NodeClaims) -> Iterator[Finding]:
    """Yields findings on kubelet, driver upgrade, MIG manager, virtual GPUs, and a second vendor."""
    node_labels = claims.node.labels
    ready = next((condition for condition in claims.node.conditions if condition.type == "Ready"), None)
    if ready is not None and ready.status != "True":
        since = "is not ready" if ready.status == "False" else "has stopped reporting"
        yield Finding(
            rule="kubelet_down",
            severity=Severity.CRITICAL,
            text=f"The kubelet {since}: the advertised resources are last known, not current.",
            evidence=(Evidence("condition", "Ready", f"{ready.status} {ready.reason}".strip()),),
        )
    upgrade = claims.upgrade
    if upgrade.phase == "failed":
        text = "The driver upgrade has failed."
        yield Finding(rule="upgrade_failed", severity=Severity.CRITICAL, text=text, evidence=upgrade.evidence)
    elif upgrade.phase == "required":
        text = "A driver upgrade is due."
        yield Finding(rule="driver_upgrade_pending", severity=Severity.INFO, text=text, evidence=upgrade.evidence)
    if node_labels.get(labels.MIG_CONFIG_STATE) == labels.MIG_STATE_FAILED:
        desired = node_labels.get(labels.MIG_CONFIG, "")
        yield Finding(
            rule="mig_config_failed",
            severity=Severity.CRITICAL,
            text=f"The MIG layout {desired or 'requested'} could not be applied; the GPUs may be partitioned differently.",
            evidence=(
                Evidence("label", labels.MIG_CONFIG, desired),
                Evidence("label", labels.MIG_CONFIG_STATE, labels.MIG_STATE_FAILED),
            ),
        )
    going_on = maintenance(claims)
    if going_on is not None:
        yield going_on
    if claims.gfd.vgpu:
        yield Finding(
            rule="vgpu_guest",
            severity=Severity.INFO,
            text="Virtual machine with vGPUs: each GPU is a share of a GPU on the host.",
            evidence=(Evidence("label", labels.VGPU_PRESENT, "true"),),
        )
    if claims.others:
        slots = ", ".join(f"{name} ({amount})" for name, amount in sorted(claims.others.items()))
        yield Finding(
            rule="second_vendor",
            severity=Severity.INFO,
            text=f"Devices of another vendor are also advertised and not counted: {slots}.",
            evidence=tuple(Evidence("capacity", name, str(amount)) for name, amount in sorted(claims.others.items())),
        )
