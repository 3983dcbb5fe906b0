"""Parameters of the addresses of pages."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import QueryDict


def without(params: QueryDict, names: Iterable[str]) -> QueryDict:
    """Returns the parameters without these."""
    kept = params.copy()
    for name in names:
        kept.pop(name, None)
    return kept
