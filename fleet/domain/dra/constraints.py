"""Constraints of a claim: attributes that its devices must have in common, or must not (matchAttribute, distinctAttribute)."""

from __future__ import annotations

from fleet.domain.dra.selectors import find_attribute
from fleet.domain.snapshot.dra import DeviceConstraint, DraAttribute, DraDevice


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
        if self._chosen and attribute.kind == "list":
            return False
        if self._constraint.match_attribute:
            allowed = all(other == attribute for other in self._chosen[:1])
        else:
            allowed = attribute not in self._chosen
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
