"""Kinds of field that several resources share."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Told(serializers.CharField):
    """Text that stands empty in the database where nothing was told: null for the caller."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return value or None
