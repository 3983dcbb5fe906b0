"""Tags of the map of nodes: `{% load map_ui %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from django import template
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from fleet.selectors.fleet.map import LARGE, NO_POOL, NO_TEAM
from fleet.templatetags import formats, words

if TYPE_CHECKING:
    from fleet.selectors.fleet.map import Group, Tile

register = template.Library()


@register.simple_tag
def tiles(rows: Sequence[Tile], first: bool = False, at: datetime | None = None) -> SafeString:
    """The tiles of one group (fleet_map.Tile). Written without a template: there may be 5,000."""
    # the address once for each cluster, then only its name for each tile
    patterns: dict[str, tuple[str, str]] = {}
    query = f"?{urlencode({'at': at.astimezone(UTC).isoformat().replace('+00:00', 'Z')})}" if at else ""
    written = []
    for place, row in enumerate(rows):
        known = words.word("verdict", row.verdict)
        if row.cluster not in patterns:
            before, _, after = reverse("node", kwargs={"cluster": row.cluster, "name": "NODE"}).rpartition("NODE")
            patterns[row.cluster] = before, after
        before, after = patterns[row.cluster]
        url = f"{before}{quote(row.name, safe='')}{after}{query}"
        label = f"{row.name}, {known.word}{', stale' if row.stale else ''}"
        tile_tip = _tile_tip(row)
        tip = f' data-tip="{escape(tile_tip)}"' if tile_tip else ""
        glyph = "" if known.look == "ready" else _glyph(known.shape)
        css = f"tile v-{known.look}{' tile--stale' if row.stale else ''}"
        order = 0 if first and not place else -1
        written.append(f'<a class="{css}" href="{escape(url)}" tabindex="{order}" aria-label="{escape(label)}"{tip}>{glyph}</a>')
    return mark_safe("".join(written))  # noqa: S308  (every value above is escaped or constant)


def _tile_tip(row: Tile) -> str:
    """Returns the broken rung, reason and start: what the tile's label does not contain."""
    if row.verdict == "ready" or not (row.reason or row.broken_rung):
        return ""
    rows = [f"{row.broken_rung}: {row.reason}" if row.broken_rung and row.reason else row.reason or row.broken_rung]
    if row.since is not None:
        rows.append(f"since {formats.moment(row.since)}")
    return "\n".join(rows)


def _glyph(shape: str) -> str:
    name = {"dash": "pause"}.get(shape, shape)
    return f'<svg viewBox="0 0 16 16" aria-hidden="true"><use href="#gl-{name}"></use></svg>'


@register.simple_tag
def group_url(by: str, name: str, verdict: str) -> str:
    """Returns the list of the nodes of one group with this verdict."""
    value = "none" if name in (NO_POOL, NO_TEAM) else name
    return f"{reverse('nodes')}?{urlencode({by: 'unknown' if value == 'Unknown' else value, 'verdict': verdict})}"


@register.simple_tag
def is_large(groups: Iterable[Group]) -> bool:
    """Whether a map has so many tiles that they shrink."""
    return sum(len(group.tiles) for group in groups) > LARGE


@register.simple_tag
def legend(by_verdict: Mapping[str, int]) -> list[dict[str, object]]:
    """The meaning of the tiles that the map contains."""
    return [{"verdict": key, "count": count, "word": words.word("verdict", key)} for key, count in by_verdict.items() if count]
