"""Whether a device meets the CEL selectors of a DeviceClass or a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.domain.dra.cel import CelError, UnsupportedError, evaluate
from fleet.domain.dra.cel_values import Quantity, parse_semver
from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot.dra import DraAttribute, DraDevice


class DeviceSelectorError(Exception):
    """A selector that fails on a device: the scheduler refuses the pod with this error and tries again later."""


class UnknownSelectorError(Exception):
    """A selector that cannot be evaluated here: whether the device is meant is unknown."""


class _Domains(dict[str, Any]):
    """Attributes or capacities by domain: reading one of another domain finds an empty map, as in Kubernetes."""

    def __missing__(self, key: str) -> Mapping[str, Any]:
        return {}


def meets(device: DraDevice, selectors: Iterable[str], owner: str) -> bool:
    """Returns whether every selector of `owner` holds. Raises DeviceSelectorError and UnknownSelectorError."""
    variables: Mapping[str, Any] | None = None
    for index, expression in enumerate(selectors):
        if variables is None:
            variables = {"device": _variables(device)}
        if not expression:
            raise UnknownSelectorError(f"{owner}: selector #{index} is of a kind that is not known.")
        try:
            result = evaluate(expression, variables)
        except CelError as problem:
            raise DeviceSelectorError(f"{owner}: selector #{index}: CEL runtime error: {problem}") from None
        except UnsupportedError as problem:
            raise UnknownSelectorError(f"{owner}: selector #{index}: {problem}") from None
        if not isinstance(result, bool):
            raise DeviceSelectorError(f"{owner}: selector #{index}: CEL result could not be converted to bool")
        if not result:
            return False
    return True


def find_attribute(device: DraDevice, name: str) -> DraAttribute | None:
    """Returns the attribute by its full name; the bare name stands for the domain of the driver."""
    attribute = device.attributes.get(name)
    domain, slash, bare = name.partition("/")
    if attribute is None and slash and domain == device.driver:
        attribute = device.attributes.get(bare)
    return attribute


def _variables(device: DraDevice) -> dict[str, Any]:
    attributes, capacity = _Domains(), _Domains()
    for name, attribute in device.attributes.items():
        _put(attributes, device.driver, name, _attribute_value(attribute))
    for name, entry in device.capacity.items():
        amount = parse_quantity(entry.value)
        value = UnsupportedError(f"The capacity {name} is not a quantity.") if amount is None else Quantity(amount)
        _put(capacity, device.driver, name, value)
    return {
        "driver": device.driver,
        "attributes": attributes,
        "capacity": capacity,
        "allowMultipleAllocations": device.shareable,
    }


def _put(domains: _Domains, driver: str, name: str, value: Any) -> None:
    domain, slash, bare = name.rpartition("/")
    domains.setdefault(domain if slash else driver, {})[bare] = value


def _attribute_value(attribute: DraAttribute) -> Any:
    if attribute.kind != "list":
        return _scalar(attribute.kind, attribute.value)
    if not attribute.values:
        return UnsupportedError("An attribute is of a kind that is not known.")
    values = [_scalar(attribute.of, value) for value in attribute.values]
    return next((value for value in values if isinstance(value, UnsupportedError)), values)


def _scalar(kind: str, value: str | int | bool) -> Any:
    if kind == "version":
        version = parse_semver(str(value))
        return UnsupportedError("An attribute is not a semantic version.") if version is None else version
    return value
