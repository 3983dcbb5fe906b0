"""What the cards of a node are called and what one whole card has."""

from __future__ import annotations

import msgspec

from fleet.domain.layout import Layout
from fleet.domain.reading import Reading
from fleet.domain.sources.gfd import SHORT


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Product facts of a node; empty or None where nobody tells."""

    product: str = ""
    products: tuple[str, ...] = ()
    family: str = ""
    architecture: str = ""
    memory_mib: int | None = None
    driver_version: str = ""
    cuda_version: str = ""


def identify(reading: Reading, layout: Layout) -> Identity:
    """By ResourceSlices, else GFD's or the vendor's labels, else what was known before, else the cloud's word."""
    gfd, seen, facts, model = reading.gfd, reading.dra, reading.facts, layout.model
    before = reading.previous if reading.labels_vanished else None
    told = (
        (seen.products if seen else ())
        or ((gfd.product,) if gfd.product else ())
        or facts.products
        or (before.products if before else ())
    )
    from_cloud = reading.cloud.product or reading.cloud.name
    products = told or ((from_cloud,) if from_cloud else ())
    product = gfd.product if gfd.product in products else products[0] if products else ""
    family = gfd.family if gfd.family not in ("", "undefined") else ""
    family = family or (seen.architecture.lower().replace(" ", "-") if seen else "") or facts.family
    family = family or (model.family if model else "") or (before.family if before else "")
    return Identity(
        product=product,
        products=products,
        family=family[:SHORT],
        architecture=(seen.architecture if seen and seen.architecture else family.replace("-", " ").title())[:SHORT],
        memory_mib=_memory(reading, layout) or (before.gpu_memory_mib if before else None),
        driver_version=(gfd.driver_version or (seen.driver_version if seen else "") or facts.driver_version)[:SHORT],
        cuda_version=(gfd.cuda_version or (seen.cuda_version if seen else ""))[:SHORT],
    )


def _memory(reading: Reading, layout: Layout) -> int | None:
    """MiB of one whole card: as measured where a whole card was measured, else the catalogue's."""
    if reading.dra is not None and reading.dra.memory_mib:
        return reading.dra.memory_mib
    measures_a_card = not reading.gfd.mig_invalid and not reading.gfd.mig_profile
    if measures_a_card and reading.gfd.memory_mib:
        return reading.gfd.memory_mib
    known = layout.model.memory_mib if layout.model else None
    if reading.facts.memory_mib and reading.facts.partition in ("", "SPX"):
        return reading.facts.memory_mib
    return known
