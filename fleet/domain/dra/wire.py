"""What the objects of resource.k8s.io share on the wire: selectors, requests, tolerations, node selectors, quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from sys import intern
from typing import Any

import msgspec

from fleet.domain.label_selectors import OPERATORS, Requirement
from fleet.domain.snapshot.dra import DeviceConstraint, DeviceRequest, DeviceToleration, DraClaim, Terms

MOST_ENTRIES = 128
"""Of one list or map of an object: more than Kubernetes accepts of any."""
_LONGEST = 253
_LONGEST_EXPRESSION = 10 * 1024
_NODE_NAME = "metadata.name"
_IMPOSSIBLE = Requirement("", "in", ())
"""In place of a requirement that cannot be read: it holds for no node."""

QuantityWire = str | int | float | None


class CelWire(msgspec.Struct, gc=False):
    expression: str | None = None


class SelectorWire(msgspec.Struct, gc=False):
    cel: CelWire | None = None


class TolerationWire(msgspec.Struct, gc=False):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class CapacityRequestWire(msgspec.Struct, gc=False):
    requests: dict[str, QuantityWire] | None = None


class RequestWire(msgspec.Struct, rename="camel", gc=False):
    """A request in every version's shape: v1 nests under `exactly`, v1beta1 and v1alpha3 do not."""

    name: str | None = None
    exactly: RequestWire | None = None
    first_available: list[RequestWire] | None = None
    device_class_name: str | None = None
    selectors: list[SelectorWire] | None = None
    allocation_mode: str | None = None
    count: int | None = None
    admin_access: bool | None = None
    tolerations: list[TolerationWire] | None = None
    capacity: CapacityRequestWire | None = None


class ConstraintWire(msgspec.Struct, rename="camel", gc=False):
    requests: list[str] | None = None
    match_attribute: str | None = None
    distinct_attribute: str | None = None


class _ClaimDevices(msgspec.Struct, gc=False):
    requests: list[RequestWire] | None = None
    constraints: list[ConstraintWire] | None = None


class ClaimSpecWire(msgspec.Struct, gc=False):
    """The spec of a claim, or of what a template makes."""

    devices: _ClaimDevices | None = None


class RequirementWire(msgspec.Struct, gc=False):
    key: str | None = None
    operator: str | None = None
    values: list[str] | None = None


class TermWire(msgspec.Struct, rename="camel", gc=False):
    match_expressions: list[RequirementWire] | None = None
    match_fields: list[RequirementWire] | None = None


class NodeSelectorWire(msgspec.Struct, rename="camel", gc=False):
    node_selector_terms: list[TermWire] | None = None


def cut(text: str | None) -> str:
    """A name or value of bounded length, shared: objects of one driver repeat the same few."""
    return intern((text or "")[:_LONGEST])


def quantity(value: QuantityWire) -> str:
    return _quantity_text(str(value)) if value is not None else ""


@lru_cache(maxsize=4096)
def _quantity_text(text: str) -> str:
    return text[:64]


def quantities(pairs: Mapping[str, QuantityWire] | None) -> dict[str, str]:
    return {cut(name): quantity(value) for name, value in islice((pairs or {}).items(), MOST_ENTRIES)}


def parse_selectors(wires: Sequence[SelectorWire] | None) -> tuple[str, ...]:
    """CEL expressions; empty text for a selector of another kind, or one longer than Kubernetes accepts."""
    expressions = [wire.cel.expression or "" if wire.cel else "" for wire in (wires or ())[:MOST_ENTRIES]]
    return tuple(intern(text) if len(text) <= _LONGEST_EXPRESSION else "" for text in expressions)


def parse_tolerations(wires: Sequence[TolerationWire] | None) -> tuple[DeviceToleration, ...]:
    return tuple(
        DeviceToleration(cut(wire.key), cut(wire.operator) or "Equal", cut(wire.value), cut(wire.effect))
        for wire in (wires or ())[:MOST_ENTRIES]
    )


def parse_request(wire: RequestWire) -> DeviceRequest:
    """A request, with the API server's defaults: one device."""
    exact = wire.exactly or wire
    alternatives = (wire.first_available or ())[:MOST_ENTRIES]
    return DeviceRequest(
        name=cut(wire.name),
        device_class=cut(exact.device_class_name),
        selectors=parse_selectors(exact.selectors),
        mode=cut(exact.allocation_mode) or "ExactCount",
        count=1 if exact.count is None else exact.count,
        admin_access=bool(exact.admin_access),
        tolerations=parse_tolerations(exact.tolerations),
        capacity=quantities(exact.capacity.requests if exact.capacity else None),
        first_available=tuple(
            parse_request(msgspec.structs.replace(alternative, first_available=None)) for alternative in alternatives
        ),
    )


def parse_constraints(wires: Sequence[ConstraintWire] | None) -> tuple[DeviceConstraint, ...]:
    return tuple(
        DeviceConstraint(
            requests=tuple(map(cut, (wire.requests or ())[:MOST_ENTRIES])),
            match_attribute=cut(wire.match_attribute),
            distinct_attribute=cut(wire.distinct_attribute),
        )
        for wire in (wires or ())[:MOST_ENTRIES]
    )


def parse_claim_spec(namespace: str, name: str, spec: ClaimSpecWire | None) -> DraClaim:
    """Returns the claim that a spec describes, not allocated yet."""
    devices = (spec.devices if spec else None) or _ClaimDevices()
    return DraClaim(
        namespace=namespace,
        name=name,
        requests=tuple(map(parse_request, (devices.requests or ())[:MOST_ENTRIES])),
        constraints=parse_constraints(devices.constraints),
    )


def read_claim_spec(namespace: str, name: str, spec: Mapping[str, Any]) -> DraClaim:
    """Returns the claim that a mapping from a manifest describes. Raises ValueError with a sentence."""
    try:
        return parse_claim_spec(namespace, name, msgspec.convert(spec, ClaimSpecWire))
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"The spec of claim {name} cannot be read: {str(error)[:200]}.") from None


def parse_terms(wire: NodeSelectorWire | None) -> Terms:
    terms = (wire.node_selector_terms if wire else None) or ()
    return tuple(
        tuple(
            _requirement(requirement)
            for requirement in [*(term.match_expressions or ()), *(term.match_fields or ())][:MOST_ENTRIES]
        )
        for term in terms[:MOST_ENTRIES]
    )


def _requirement(wire: RequirementWire) -> Requirement:
    operator, values = OPERATORS.get(wire.operator or ""), tuple(map(cut, (wire.values or ())[:MOST_ENTRIES]))
    if operator is None or (operator in ("gt", "lt") and (len(values) != 1 or not _is_whole_number(values[0]))):
        return _IMPOSSIBLE
    return Requirement(cut(wire.key), operator, values)


def _is_whole_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 19
