"""The evidence of an inspection: labels, quantities, configuration and slices as they were read."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.counts import Physical
from fleet.domain.findings import Evidence

_LABELS = (
    labels.GPU_PRESENT,
    labels.GPU_PRODUCT,
    labels.GPU_COUNT,
    labels.GPU_REPLICAS,
    labels.GPU_SHARING_STRATEGY,
    labels.GPU_MEMORY,
    labels.MIG_STRATEGY,
    labels.MIG_CONFIG,
    labels.MIG_CONFIG_STATE,
    labels.DEVICE_PLUGIN_CONFIG,
    labels.AMD_PRODUCT,
    labels.AMD_VRAM,
    labels.AMD_PARTITION,
    labels.INTEL_PRODUCT,
    labels.INTEL_DEVICE_COUNT,
    labels.GAUDI_PRODUCT,
)


def collect_evidence(claims: NodeClaims, physical: Physical) -> tuple[Evidence, ...]:
    """Returns the labels, quantities, configuration and slices behind the results, in a fixed order."""
    node_labels = claims.node.labels
    rows = [Evidence("label", key, node_labels[key]) for key in _LABELS if key in node_labels]
    for profile, mig in claims.gfd.mig.items():
        if mig.count is not None:
            key = f"{labels.MIG_LABEL_PREFIX}{profile.replace('+', '.')}.count"
            rows.append(Evidence("label", key, node_labels.get(key, str(mig.count))))
    rows += [entry for entry in claims.cloud.evidence if entry.key not in _LABELS]
    for name in claims.resources:
        for source, resources in (("capacity", claims.node.capacity), ("allocatable", claims.node.allocatable)):
            if name in resources:
                rows.append(Evidence(source, name, resources[name]))
    config = claims.wanted.config
    if config is not None:
        wanted = ", ".join(f"{name} ×{number}" for name, number in sorted(config.replicas.items()))
        rows.append(
            Evidence(
                "config",
                f"{config.namespace}/{config.config_map}:{config.key}",
                f"{config.sharing or 'no sharing'} {wanted}".strip(),
            )
        )
    if claims.dra is not None:
        rows.append(Evidence("resource_slice", "devices", str(claims.dra.devices)))
        if claims.dra.cards_known:
            rows.append(Evidence("resource_slice", "cards", str(len(claims.dra.cards))))
    rows += [
        Evidence("label", key, node_labels.get(key, str(claims.facts.count)))
        for key in claims.facts.count_keys
        if key not in _LABELS
    ]
    if physical.source == "previous":
        rows.append(Evidence("previous", "physical", str(physical.count)))
    return tuple(rows)
