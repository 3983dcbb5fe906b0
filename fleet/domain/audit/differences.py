"""What an entry changed: the fields whose value before differs from the one after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST = 40


@dataclass(frozen=True, slots=True)
class Difference:
    """One field; `before` or `after` is None where there was no value."""

    field: str
    before: object
    after: object


def differences(detail: Mapping[str, object]) -> list[Difference]:
    """Returns the fields that differ between `before` and `after` of an entry, at most MOST, nested ones with dots.

    Where only `before` is kept (something was removed or replaced), the values before have no value after.
    """
    before, after = detail.get("before"), detail.get("after")
    if before is None and after is None:
        return []
    old, new = dict(_flat("", before)), dict(_flat("", after))
    fields = [*old, *(name for name in new if name not in old)]
    return [Difference(name or "value", old.get(name), new.get(name)) for name in fields if old.get(name) != new.get(name)][:MOST]


def others(detail: Mapping[str, object]) -> dict[str, object]:
    """Returns the other content of an entry, besides before and after, without empty values."""
    return {key: value for key, value in detail.items() if key not in ("before", "after") and value not in (None, "", [], {})}


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), entry)
    elif value not in (None, "", []):
        yield prefix, value
