"""Remarks on what goes on at the node: kubelet, driver upgrade, MIG manager, virtual GPUs, a second vendor."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.findings import Evidence, Remark, Severity
from fleet.domain.reading import Reading

_PAUSED = frozenset({labels.PAUSED_FOR_DRIVER_UPGRADE, labels.PAUSED_FOR_MIG_CHANGE})


def maintenance(reading: Reading) -> Remark | None:
    """What goes on at the node on purpose, and explains why it offers less than it has; None where nothing does."""
    told = reading.node.labels
    upgrade = told.get(labels.DRIVER_UPGRADE_STATE, "")
    if upgrade in labels.UPGRADE_IN_PROGRESS:
        evidence = (Evidence("label", labels.DRIVER_UPGRADE_STATE, upgrade),)
        return Remark(
            id="driver_upgrade", severity=Severity.INFO, text=f"Driver upgrade in progress ({upgrade}).", evidence=evidence
        )
    state, desired = told.get(labels.MIG_CONFIG_STATE, ""), told.get(labels.MIG_CONFIG, "")
    if state in labels.MIG_STATE_CHANGING:
        return Remark(
            id="mig_change",
            severity=Severity.INFO,
            text=f"The MIG layout is being changed to {desired or 'another'} ({state}).",
            evidence=(Evidence("label", labels.MIG_CONFIG, desired), Evidence("label", labels.MIG_CONFIG_STATE, state)),
        )
    if _PAUSED.isdisjoint(told.values()):
        return None
    for key, value in told.items():
        if value in _PAUSED and key.startswith(labels.GPU_DEPLOY_PREFIX):
            upgrading = value == labels.PAUSED_FOR_DRIVER_UPGRADE
            return Remark(
                id="driver_upgrade" if upgrading else "mig_change",
                severity=Severity.INFO,
                text="Driver upgrade in progress: the GPU stack is paused."
                if upgrading
                else "The MIG layout is being changed: the GPU stack is paused.",
                evidence=(Evidence("label", key, value),),
            )
    return None


def about_node(reading: Reading) -> Iterator[Remark]:
    """Kubelet, driver upgrade, MIG manager, virtual GPUs, a second vendor."""
    told = reading.node.labels
    ready = next((condition for condition in reading.node.conditions if condition.type == "Ready"), None)
    if ready is not None and ready.status != "True":
        since = "is not ready" if ready.status == "False" else "has stopped reporting"
        yield Remark(
            id="kubelet_not_ready",
            severity=Severity.CRITICAL,
            text=f"The kubelet {since}: what the node offers is its last word, not its present state.",
            evidence=(Evidence("condition", "Ready", f"{ready.status} {ready.reason}".strip()),),
        )
    upgrade = told.get(labels.DRIVER_UPGRADE_STATE, "")
    if upgrade == labels.UPGRADE_FAILED:
        evidence = (Evidence("label", labels.DRIVER_UPGRADE_STATE, upgrade),)
        yield Remark(
            id="driver_upgrade_failed", severity=Severity.CRITICAL, text="The driver upgrade has failed.", evidence=evidence
        )
    elif upgrade == labels.UPGRADE_PENDING:
        evidence = (Evidence("label", labels.DRIVER_UPGRADE_STATE, upgrade),)
        yield Remark(id="driver_upgrade_pending", severity=Severity.INFO, text="A driver upgrade is due.", evidence=evidence)
    if told.get(labels.MIG_CONFIG_STATE) == labels.MIG_STATE_FAILED:
        desired = told.get(labels.MIG_CONFIG, "")
        yield Remark(
            id="mig_config_failed",
            severity=Severity.CRITICAL,
            text=f"The MIG layout {desired or 'asked for'} could not be applied; the cards may be cut otherwise.",
            evidence=(
                Evidence("label", labels.MIG_CONFIG, desired),
                Evidence("label", labels.MIG_CONFIG_STATE, labels.MIG_STATE_FAILED),
            ),
        )
    going_on = maintenance(reading)
    if going_on is not None:
        yield going_on
    if reading.gfd.vgpu:
        yield Remark(
            id="vgpu_guest",
            severity=Severity.INFO,
            text="A virtual machine with vGPUs: what counts as a GPU here is a share of a card on the host.",
            evidence=(Evidence("label", labels.VGPU_PRESENT, "true"),),
        )
    if reading.others:
        slots = ", ".join(f"{name} ({amount})" for name, amount in sorted(reading.others.items()))
        yield Remark(
            id="second_vendor",
            severity=Severity.INFO,
            text=f"Another vendor's devices are offered as well and not counted here: {slots}.",
            evidence=tuple(Evidence("capacity", name, str(amount)) for name, amount in sorted(reading.others.items())),
        )
