"""How prices are written."""

from __future__ import annotations

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def amount(value: Decimal) -> str:
    """Returns a price with two decimals, and up to four where it has them: `2.50`, `0.0125`."""
    text = f"{value:,.4f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0")
