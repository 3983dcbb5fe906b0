"""Inspects a node's devices: physical GPUs, partitioning, sharing, slots, each with its evidence.

Entry point: `inspect`. None is unknown, never 0.
"""

from __future__ import annotations

import msgspec

from fleet.domain import labels, pod_resources
from fleet.domain.devices import advertised, counts, findings, resource_sharing, resources
from fleet.domain.devices.claims import NodeClaims, parse_claims
from fleet.domain.devices.evidence import collect_evidence
from fleet.domain.devices.findings.counts import about_count
from fleet.domain.devices.findings.node import about_node
from fleet.domain.devices.findings.presence import about_presence
from fleet.domain.devices.findings.resources import about_resources
from fleet.domain.devices.findings.sharing import about_sharing
from fleet.domain.devices.findings.slots import about_slots
from fleet.domain.devices.findings.unread import about_unread
from fleet.domain.devices.gpus import Gpu, MigDevice
from fleet.domain.devices.inputs import NodeInputs, Previous
from fleet.domain.devices.inventory import list_gpus, list_mig_devices
from fleet.domain.devices.modes import mode, node_sharing, parts, whole_cards
from fleet.domain.devices.partitioning import lay_out
from fleet.domain.devices.product_facts import identify
from fleet.domain.devices.sharing import isolation
from fleet.domain.devices.slots import ResourceSlots, Slots, total
from fleet.domain.devices.sources.dra_claims import Sharers
from fleet.domain.dra.status import PoolStatus
from fleet.domain.findings import Evidence, Finding

__all__ = [
    "Gpu",
    "MigDevice",
    "NodeDevices",
    "NodeInputs",
    "Previous",
    "ResourceSlots",
    "Slots",
    "inspect",
]


_STATE_LENGTH = 30


class NodeDevices(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs of one node."""

    vendor: str
    """nvidia, amd, intel, habana, other; empty if unknown."""
    product: str
    """One name per product, in the spelling of GFD's label, without the suffixes for sharing and MIG; empty if unknown."""
    products: tuple[str, ...]
    family: str
    architecture: str
    gpu_memory_mib: int | None
    """Of one physical GPU, also where the label states a MIG instance's."""
    driver_version: str
    cuda_version: str
    """Highest CUDA version the driver supports."""
    physical: int | None
    physical_source: str
    """resource_slice, dcgm, previous, annotation, kernel, label, cloud, config or capacity; empty when unknown."""
    physical_is_lower_bound: bool
    partitioning: str | None
    """none, mig-single or mig-mixed."""
    sharing: str | None
    """exclusive, time-slicing or mps."""
    replicas: int | None
    """Slots per device; None when unknown or when resources differ (they carry their own)."""
    mode: str
    isolation: str
    mig_instances: dict[str, int] | None
    """Instances by profile; {} is none, None is unknown."""
    mig_desired: str
    mig_state: str
    resources: tuple[ResourceSlots, ...]
    slots: Slots
    dra_pools: tuple[PoolStatus, ...] = ()
    """Pools of DRA drivers: total, allocated, available, unavailable, shares, and what can still be cut."""
    cards: tuple[Gpu, ...]
    mig_devices: tuple[MigDevice, ...]
    advertised: str
    """full, partial, none or unknown: what the node advertises against what its devices predict."""
    advertised_gpus: int | None
    """Physical GPUs behind the allocatable slots."""
    reason: str
    """One sentence for a list of nodes; empty without a finding that needs attention."""
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]


def inspect(inputs: NodeInputs) -> NodeDevices:
    """Returns the inspected devices of one node. Never raises, whatever labels and quantities contain.

    What depends on an unread section is None, with a finding.
    """
    node, pods = inputs.node, inputs.pods
    claims = parse_claims(inputs)
    layout = lay_out(claims)
    effective_by_name = resource_sharing.effective_by_name(claims, layout)
    held = None if pods is None else pod_resources.requested_by_resource(pods)
    resources_of_node = resources.list_resources(claims, layout, effective_by_name, held)
    counted = counts.count(claims, layout, effective_by_name)
    shared = node_sharing(claims, effective_by_name, resources_of_node)
    identity = identify(claims, layout)
    before = claims.previous if claims.labels_vanished else None
    partitioning = before.partitioning if before else layout.partitioning
    sharing = before.sharing if before else shared.sharing
    sorted_findings = findings.sort(
        (
            *about_node(claims),
            *about_slots(claims, resources_of_node, pods),
            *about_presence(claims, resources_of_node, counted),
            *about_count(claims, counted),
            *about_resources(claims, layout, resources_of_node),
            *about_sharing(claims, effective_by_name, resources_of_node),
            *about_unread(claims, resources_of_node, pods=pods, allocations=inputs.allocations, sharing=sharing),
        )
    )
    # Of GPUs that telemetry hides, nothing predicts the slots; MIG instances are counted whatever GPUs they are spread over.
    predicting = None if counted.why_least else counted.count
    state = advertised.advertised(claims, resources_of_node, effective_by_name, predicting)
    return NodeDevices(
        vendor=claims.vendor,
        product=identity.product,
        products=identity.products,
        family=identity.family,
        architecture=identity.architecture,
        gpu_memory_mib=identity.memory_mib,
        driver_version=identity.driver_version,
        cuda_version=identity.cuda_version,
        physical=counted.count,
        physical_source=counted.source,
        physical_is_lower_bound=counted.lower_bound,
        partitioning=partitioning,
        sharing=sharing,
        replicas=before.replicas if before else shared.replicas,
        mode=mode(claims, layout, shared, resources_of_node, counted),
        isolation=isolation(
            partitioning,
            sharing,
            shared=shared.shared,
            whole_cards_too=whole_cards(claims, resources_of_node) > 0,
            parts=parts(claims, resources_of_node, effective_by_name),
            sharers=claims.dra.sharers if claims.dra else Sharers(),
        ),
        mig_instances=before.mig_instances if before else layout.mig_instances,
        mig_desired=node.labels.get(labels.MIG_CONFIG, ""),
        mig_state=node.labels.get(labels.MIG_CONFIG_STATE, "")[:_STATE_LENGTH],
        resources=resources_of_node.resources,
        slots=_totals(claims, resources_of_node, pods_known=pods is not None),
        dra_pools=claims.dra_pools,
        cards=list_gpus(claims, layout, counted, identity, pods),
        mig_devices=list_mig_devices(claims, layout, pods),
        advertised=state,
        advertised_gpus=advertised.advertised_gpus(resources_of_node, state, counted.count),
        reason=findings.reason(sorted_findings),
        evidence=collect_evidence(claims, counted),
        findings=sorted_findings,
    )


def _totals(claims: NodeClaims, resources_of_node: resources.NodeResources, *, pods_known: bool) -> Slots:
    if not resources_of_node.resources and not claims.node.capacity:
        return Slots()
    if claims.fractions.names and not any(slots.capacity for slots in resources_of_node.resources):
        return Slots()  # handed out by memory and compute: how many slots that makes is not defined
    totals = total(resources_of_node.resources, duplicates=resources_of_node.duplicates)
    if pods_known or resources_of_node.resources:
        return totals
    return msgspec.structs.replace(totals, requested=None, free=None)
