"""Constraints of a claim: attributes that its devices must have in common, or must not (matchAttribute, distinctAttribute)."""

from __future__ import annotations

from fleet.domain.dra.selectors import UnknownSelectorError, find_attribute
from fleet.domain.snapshot.dra import DeviceConstraint, DraAttribute, DraDevice


def _values(attribute: DraAttribute) -> frozenset[tuple[str, str | int | bool]]:
    """Returns the values of an attribute with their kind: one, or those of a list (KEP-5491); none of a list not understood."""
    if attribute.kind == "list":
        return frozenset((attribute.of, value) for value in attribute.values)
    return frozenset([(attribute.kind, attribute.value)])


class ConstraintState:
    """One constraint, and the attributes of the devices chosen so far."""

    def __init__(self, constraint: DeviceConstraint) -> None:
        self._constraint = constraint
        self._chosen: list[DraAttribute] = []

    def add(self, request: str, alternative: str, device: DraDevice) -> bool:
        """Adds a chosen device if it may be; a device of a request that the constraint does not name always may."""
        if not self._concerns(request, alternative):
            return True
        name = self._constraint.match_attribute or self._constraint.distinct_attribute
        attribute = find_attribute(device, name)
        if attribute is None:
            return False
        values = _values(attribute)
        if not values:
            raise UnknownSelectorError(f"The attribute {name} is of a kind that is not known.")
        if self._constraint.match_attribute:
            allowed = bool(values.intersection(*map(_values, self._chosen)))
        else:
            allowed = all(values.isdisjoint(_values(other)) for other in self._chosen)
        if allowed:
            self._chosen.append(attribute)
        return allowed

    def remove(self, request: str, alternative: str) -> None:
        """Removes the device added last."""
        if self._concerns(request, alternative):
            self._chosen.pop()

    def _concerns(self, request: str, alternative: str) -> bool:
        names = self._constraint.requests
        return not names or request in names or (bool(alternative) and f"{request}/{alternative}" in names)
