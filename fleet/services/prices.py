"""Prices of GPUs: set and removed by operators, each with an entry in the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.db import transaction

from fleet.domain.refusals import FieldError, NotYours
from fleet.models import Price, Role, User
from fleet.services.audit import audit

FIELDS = ("product", "cluster", "machine_type", "per_gpu_hour", "currency", "source")
_MOST = Decimal(100_000)
_LONGEST = {"product": 200, "cluster": 253, "machine_type": 100, "source": 200}


@transaction.atomic
def save(actor: User, given: Mapping[str, str], now: datetime) -> Price:
    """Sets the price of a product (in a cluster, of a machine type): makes it, or replaces the one of the same key.

    `given`: FIELDS to text. Raises FieldError and NotYours.
    """
    _may_change(actor)
    row = {name: str(given.get(name, "")).strip() for name in FIELDS}
    row["currency"] = row["currency"].upper()
    if wrong := [*_wrong(row)]:
        raise FieldError(*wrong[0], *wrong[1:])
    key = {name: row[name] for name in ("product", "cluster", "machine_type")}
    values = {"per_gpu_hour": Decimal(row["per_gpu_hour"]), "currency": row["currency"], "source": row["source"]}
    before = Price.objects.select_for_update().filter(**key).first()
    price, _ = Price.objects.update_or_create(defaults={**values, "updated_at": now}, **key)  # type: ignore[arg-type]
    was = {name: str(getattr(before, name)) for name in values} if before else None
    audit(
        actor,
        "price.save",
        subject(price),
        detail={"before": was, "after": {**values, "per_gpu_hour": str(values["per_gpu_hour"])}},
        at=now,
    )
    return price


@transaction.atomic
def remove(actor: User, price: Price, now: datetime) -> None:
    """Removes a price; GPUs that no other one covers have none. Raises NotYours."""
    _may_change(actor)
    was = {"per_gpu_hour": str(price.per_gpu_hour), "currency": price.currency, "source": price.source}
    audit(actor, "price.remove", subject(price), detail={"before": was}, at=now)
    price.delete()


def subject(price: Price) -> str:
    """Returns the price's key in words: `NVIDIA-L4, prod-eu-west, g2-standard-8`."""
    return ", ".join(part for part in (price.product, price.cluster, price.machine_type) if part)


def _may_change(actor: User) -> None:
    if not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can change prices.")


def _wrong(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not row["product"]:
        yield "product", "Give the product as nodes report it, for example NVIDIA-H100-80GB-HBM3."
    for name, longest in _LONGEST.items():
        if len(row[name]) > longest or not row[name].isprintable():
            yield name, f"Use at most {longest} printable characters."
    try:
        amount = Decimal(row["per_gpu_hour"])
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= _MOST or amount != round(amount, 4):
        yield "per_gpu_hour", "Give the price of one GPU for an hour as a number from 0 to 100,000 with at most 4 decimals."
    if not re.fullmatch(r"[A-Z]{3}", row["currency"]):
        yield "currency", "Give the currency by its three letters (ISO 4217), for example USD."
