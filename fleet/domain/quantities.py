"""Kubernetes quantities and counts as exact numbers, and as words. Nothing raises on any text: what cannot be read is None."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

MIB = 1024**2
GIB = 1024**3

_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
LARGEST_COUNT = 3 * 10**9
LARGEST_UNITS = 10**12
"""Above these a number is not a count of devices, shares or MiB, nor of units of a resource, and is read as unknown: sums and
products of them must fit a 64-bit column."""
# Sign, digits with an optional fraction, then either a suffix or a decimal exponent, as apimachinery's Quantity reads them.
# The lengths are bounded so that no text takes long to parse.
_QUANTITY = re.compile(
    r"([+-]?)([0-9]{1,40})?(?:\.([0-9]{0,40}))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?",
    re.ASCII,
)
_SUFFIX: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(1024),
    "Mi": Fraction(1024**2),
    "Gi": Fraction(1024**3),
    "Ti": Fraction(1024**4),
    "Pi": Fraction(1024**5),
    "Ei": Fraction(1024**6),
}


@lru_cache(maxsize=4096)  # a fleet's pods and nodes repeat a handful of numbers tens of thousands of times
def parse_quantity(text: str | None) -> Fraction | None:
    """Returns a Kubernetes quantity (`8`, `1k`, `191G`, `81559Mi`, `1e3`, `500m`) as an exact number; None when it is none."""
    if text is None:
        return None
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, suffix, exponent = match.groups()
    if not whole and not fraction:
        return None
    value = Fraction(int((whole or "0") + (fraction or "")), 10 ** len(fraction or ""))
    if suffix:
        value *= _SUFFIX[suffix]
    elif exponent:
        value *= Fraction(10) ** int(exponent)
    return -value if sign == "-" else value


def canonical_binary(size: int) -> str:
    """Returns a number of bytes, above 0, as the API server writes a quantity that was given in Mi or Gi."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        if size % _SUFFIX[suffix] == 0:
            return f"{size // int(_SUFFIX[suffix])}{suffix}"
    return str(size)


@lru_cache(maxsize=4096)
def parse_units(text: str | None) -> int | None:
    """Returns a whole, non-negative number of units (what extended resources are counted in); None for anything else."""
    if text is None:
        return None
    value = Fraction(int(text)) if _COUNT.fullmatch(text) else parse_quantity(text)
    return int(value) if value is not None and 0 <= value <= LARGEST_UNITS and value.denominator == 1 else None


def parse_count(text: str | None) -> int | None:
    """Returns a plain non-negative decimal number, as labels carry counts; None for anything else."""
    if text is None or _COUNT.fullmatch(text) is None:
        return None
    count = int(text)
    return count if count <= LARGEST_COUNT else None


def to_mib(size: int | Fraction | None) -> int | None:
    """Bytes as whole MiB, rounded down; None stays None."""
    return None if size is None else int(size // MIB)


def parse_gib_label(text: str | None) -> int | None:
    """MiB of a label such as AMD's vram (`191G`): the labeller writes whole GiB with a bare G; a real unit means itself.

    None for 0 or less.
    """
    if text is None:
        return None
    count = parse_count(text[:-1]) if text.endswith("G") else None
    mib = count * 1024 if count is not None else to_mib(parse_quantity(text))
    return mib if mib is not None and 0 < mib <= LARGEST_COUNT else None


def ceil_div(number: int, by: int) -> int:
    """Returns the quotient of two positive numbers, rounded up."""
    return -(-number // by)


def plural(number: int, noun: str) -> str:
    """`1 GPU`, `2 GPUs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
