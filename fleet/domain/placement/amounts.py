"""Amounts of resources as people and manifests write them: cpu in cores, memory and storage in bytes, all else in units."""

from __future__ import annotations

UNITS = {"cpu": (1000, "cores"), "memory": (2**30, "GiB"), "ephemeral-storage": (2**30, "GiB")}
UNITS |= dict.fromkeys(("hugepages-2Mi", "hugepages-1Gi"), (2**30, "GiB"))
"""Resource to the size and name of the unit people write it in."""
_BINARY = ((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki"))


def number_text(name: str, amount: int) -> str:
    """Returns the amount in people's unit, without it: "1.5" for 1500 millicores."""
    unit = UNITS.get(name, (1, ""))[0]
    return f"{amount / unit:,.3f}".rstrip("0").rstrip(".") if unit > 1 else f"{amount:,}"


def amount_text(name: str, amount: int) -> str:
    """Returns the amount with its unit and resource: "1.5 cores cpu"."""
    word = UNITS.get(name, (1, ""))[1]
    return f"{number_text(name, amount)} {word + ' ' if word else ''}{name}"


def quantity_text(name: str, amount: int) -> str:
    """Returns the amount as a Kubernetes quantity, exactly: "8", "500m", "64Gi"."""
    if name == "cpu":
        return f"{amount // 1000}" if amount % 1000 == 0 else f"{amount}m"
    return next((f"{amount // unit}{suffix}" for unit, suffix in _BINARY if amount and amount % unit == 0), str(amount))
