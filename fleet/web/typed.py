"""What somebody typed, with what is wrong with it, as the form components take it: for forms whose rules are a service's own."""

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
    """What is wrong with a form, by field; it looks like a form to components/_form_errors.html."""

    errors: Mapping[str, str]
    non_field_errors: tuple[str, ...] = ()


def typed(told: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, Typed]:
    """Field name to what was typed into it and its sentence."""
    return {name: Typed(name, text, (errors[name],) if name in errors else ()) for name, text in told.items()}
