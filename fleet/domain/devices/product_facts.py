"""Product names of a node's GPUs, and the memory of one whole GPU."""

from __future__ import annotations

import msgspec

from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.partitioning import PartitionLayout
from fleet.domain.devices.sources.gfd import SHORT


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Product facts of a node; empty or None if unknown."""

    product: str = ""
    products: tuple[str, ...] = ()
    family: str = ""
    architecture: str = ""
    memory_mib: int | None = None
    driver_version: str = ""
    cuda_version: str = ""


def identify(claims: NodeClaims, layout: PartitionLayout) -> ProductFacts:
    """Returns names and memory by ResourceSlices, else labels, else last known, else telemetry or a register, else the cloud."""
    gfd, seen, facts, model = claims.gfd, claims.dra, claims.facts, layout.model
    before = claims.previous if claims.labels_vanished else None
    named = (
        (seen.products if seen else ())
        or ((gfd.product,) if gfd.product else ())
        or facts.products
        or (before.products if before else ())
        or claims.named_products
    )
    from_cloud = claims.cloud.product or claims.cloud.name
    products = named or ((from_cloud,) if from_cloud else ())
    product = gfd.product if gfd.product in products else products[0] if products else ""
    family = gfd.family if gfd.family not in ("", "undefined") else ""
    family = family or (seen.architecture.lower().replace(" ", "-") if seen else "") or facts.family
    family = family or (model.family if model else "") or (before.family if before else "")
    return ProductFacts(
        product=product,
        products=products,
        family=family[:SHORT],
        architecture=(seen.architecture if seen and seen.architecture else family.replace("-", " ").title())[:SHORT],
        memory_mib=_memory(claims, layout) or (before.gpu_memory_mib if before else None),
        driver_version=(gfd.driver_version or (seen.driver_version if seen else "") or facts.driver_version)[:SHORT],
        cuda_version=(gfd.cuda_version or (seen.cuda_version if seen else ""))[:SHORT],
    )


def _memory(claims: NodeClaims, layout: PartitionLayout) -> int | None:
    """Returns MiB of one whole GPU: as measured where a whole GPU was measured, else the catalogue's."""
    if claims.dra is not None and claims.dra.memory_mib:
        return claims.dra.memory_mib
    measures_a_card = not claims.gfd.mig_invalid and not claims.gfd.mig_profile
    if measures_a_card and claims.gfd.memory_mib:
        return claims.gfd.memory_mib
    known = layout.model.memory_mib if layout.model else None
    if claims.facts.memory_mib and claims.facts.partition in ("", "SPX"):
        return claims.facts.memory_mib
    registered = {gpu.memory_mib for gpu in claims.fractions.gpus}
    return known or (registered.pop() if len(registered) == 1 else None)
