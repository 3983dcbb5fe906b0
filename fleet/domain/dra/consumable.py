"""How much of a device's capacity one share takes (consumable capacity, KEP-5075)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot.dra import CapacityPolicy, DraCapacity, DraDevice

Amounts = dict[str, Fraction]


def share_of(device: DraDevice, requested: Mapping[str, str]) -> Amounts | None:
    """Returns what a share takes of each capacity of the device.

    None where the device cannot give such a share: it has no capacity of that name, its policy refuses the amount, or an
    amount cannot be read.
    """
    if any(name not in device.capacity for name in requested):
        return None
    share: Amounts = {}
    for name, capacity in device.capacity.items():
        amount = _taken(capacity, requested.get(name))
        if amount is None or _refused(amount, capacity.policy):
            return None
        share[name] = amount
    return share


def fits(device: DraDevice, share: Mapping[str, Fraction], taken: Mapping[str, Fraction]) -> bool:
    """Returns whether the share still fits beside what is taken."""
    for name, amount in share.items():
        total = parse_quantity(device.capacity[name].value)
        if total is None or taken.get(name, Fraction(0)) + amount > total:
            return False
    return True


def shares_left(device: DraDevice, taken: Mapping[str, Fraction], requested: Mapping[str, str] | None = None) -> int | None:
    """Returns how many shares (of the default size, or as requested) the device has left; None where nothing limits them."""
    share = share_of(device, requested or {})
    if share is None:
        return 0
    left: int | None = None
    for name, amount in share.items():
        total = parse_quantity(device.capacity[name].value)
        free = Fraction(0) if total is None else total - taken.get(name, Fraction(0))
        if amount > 0:
            shares = max(0, int(free // amount))
            left = shares if left is None else min(left, shares)
        elif free < 0:
            left = 0
    return left


def _taken(capacity: DraCapacity, requested: str | None) -> Fraction | None:
    """Returns the requested amount, raised to what the policy allows next.

    The policy's default, or all of it, where none is asked.
    """
    policy = capacity.policy
    if requested is None:
        return parse_quantity(policy.default if policy is not None and policy.default else capacity.value)
    amount = parse_quantity(requested)
    if policy is None or amount is None:
        return amount
    minimum, step = parse_quantity(policy.minimum), parse_quantity(policy.step)
    if minimum is not None:
        if amount < minimum:
            return minimum
        return amount if not step else minimum + step * -(-(amount - minimum) // step)
    values = [value for text in policy.values if (value := parse_quantity(text)) is not None]
    return next((value for value in values if amount <= value), amount)


def _refused(amount: Fraction, policy: CapacityPolicy | None) -> bool:
    if policy is None or (policy.default and amount == parse_quantity(policy.default)):
        return False
    if policy.has_range:
        maximum, minimum, step = (parse_quantity(text) for text in (policy.maximum, policy.minimum, policy.step))
        if maximum is not None and amount > maximum:
            return True
        return step is not None and step > 0 and (amount - (minimum or 0)) % step != 0
    return bool(policy.values) and all(amount != parse_quantity(text) for text in policy.values)
