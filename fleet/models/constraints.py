"""Constraints that the database enforces."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db.models import BigIntegerField, F, Func, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce


def never_overlap(name: str, *, ids: Sequence[str], texts: Sequence[str] = ()) -> ExclusionConstraint:
    """No two rows with the same `ids` (foreign keys; null counts as one value) and `texts` have overlapping periods.

    An int8range of one value replaces btree_gist's equality, so that no extension is needed; texts are compared
    by a 64-bit hash.
    """
    same = [_alone(Coalesce(F(item), Value(0), output_field=BigIntegerField())) for item in ids]
    same += [_alone(Func(F(text), Value(0), function="hashtextextended")) for text in texts]
    parts = [(entry, RangeOperators.OVERLAPS) for entry in same]
    return ExclusionConstraint(name=name, expressions=[*parts, ("period", RangeOperators.OVERLAPS)])


def _alone(value: Combinable) -> Func:
    return Func(value, value, Value("[]"), function="int8range")
