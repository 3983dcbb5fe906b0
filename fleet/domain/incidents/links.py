"""Links to other tools: templates of addresses, filled with what is known of a node."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

FIELDS = ("cluster", "node", "instance", "region", "zone", "from_ms", "to_ms")
"""Placeholders. `instance` is the last part of the provider's id; times are milliseconds since 1970, as Grafana takes them."""


class LinkTemplate(msgspec.Struct, frozen=True):
    """A tool with the template of its address, such as `https://grafana.example.com/d/gpu?var-node={node}`."""

    name: str
    template: str

    def problem(self) -> str:
        """Returns what is wrong with the template; empty for nothing."""
        if not self.name.strip():
            return "it has no name"
        if not self.template.startswith(("http://", "https://")):
            return "its address does not begin with http:// or https://"
        rest = self.template
        for name in FIELDS:
            rest = rest.replace(f"{{{name}}}", "")
        if "{" in rest or "}" in rest:
            return f"it has an unknown placeholder; known are {', '.join(f'{{{name}}}' for name in FIELDS)}"
        return ""

    def fill(self, values: Mapping[str, str]) -> str | None:
        """Returns the address, every value escaped; None where a value that it needs is not known."""
        address = self.template
        for name in FIELDS:
            place = f"{{{name}}}"
            if place in address:
                value = values.get(name, "")
                if not value:
                    return None
                address = address.replace(place, quote(value, safe=""))
        return address
