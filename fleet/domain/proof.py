"""The evidence of a description: what was read, word for word."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.findings import Evidence
from fleet.domain.physical import Physical
from fleet.domain.reading import Reading

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


def collect_evidence(reading: Reading, physical: Physical) -> tuple[Evidence, ...]:
    """Labels, quantities, configuration and slices that the answers rest on, in a fixed order."""
    told = reading.node.labels
    found = [Evidence("label", key, told[key]) for key in _LABELS if key in told]
    for profile, mig in reading.gfd.mig.items():
        if mig.count is not None:
            key = f"{labels.MIG_LABEL_PREFIX}{profile.replace('+', '.')}.count"
            found.append(Evidence("label", key, told.get(key, str(mig.count))))
    found += [one for one in reading.cloud.evidence if one.key not in _LABELS]
    for name in reading.offers:
        for source, resources in (("capacity", reading.node.capacity), ("allocatable", reading.node.allocatable)):
            if name in resources:
                found.append(Evidence(source, name, resources[name]))
    config = reading.wanted.config
    if config is not None:
        wanted = ", ".join(f"{name} ×{number}" for name, number in sorted(config.replicas.items()))
        found.append(
            Evidence(
                "config",
                f"{config.namespace}/{config.config_map}:{config.key}",
                f"{config.sharing or 'no sharing'} {wanted}".strip(),
            )
        )
    if reading.dra is not None:
        found.append(Evidence("resource_slice", "devices", str(reading.dra.devices)))
        if reading.dra.cards_known:
            found.append(Evidence("resource_slice", "cards", str(len(reading.dra.cards))))
    found += [
        Evidence("label", key, told.get(key, str(reading.facts.count))) for key in reading.facts.count_keys if key not in _LABELS
    ]
    if physical.source == "previous":
        found.append(Evidence("previous", "physical", str(physical.count)))
    return tuple(found)
