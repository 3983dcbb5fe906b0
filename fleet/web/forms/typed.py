"""Typed form fields with their errors, for forms whose rules a service checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Typed:
    """One field as it was typed; it looks like a bound field to components/_field.html."""

    name: str
    value: str
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Cause with a form, by field; it looks like a form to components/_form_errors.html."""

    errors: Mapping[str, str]
    non_field_errors: tuple[str, ...] = ()


def typed(texts: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, Typed]:
    """Field name to what was typed into it and its sentence."""
    return {name: Typed(name, text, (errors[name],) if name in errors else ()) for name, text in texts.items()}
