"""An incident in Markdown, for a ticket or a chat."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from fleet.domain.readiness.remedies import Step

MOST_NODES = 20
# A word joiner behind an @ is invisible, and makes it mention no one.
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#"} | {"@": "@\u2060"})


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the text. All of it may come from a cluster."""

    cause: str
    severity: str
    verdict: str = ""
    """Verdict of the node in words; empty for an incident over several nodes."""
    cluster: str = ""
    nodes: Sequence[str] = ()
    since: datetime | None = None
    seen_at: datetime | None = None
    """When Muster saw it; None where that is the same moment."""
    effect: str = ""
    """What cannot be used, in words."""
    affected: str = ""
    steps: Sequence[Step] = ()
    url: str = ""


def markdown(summary: Summary) -> str:
    """Returns cause, place, since, affected, steps and link, one line each. Text of a cluster cannot format the rest."""
    lines = [f"**{_plain(summary.cause)}** ({_plain(summary.severity)})", ""]
    if summary.nodes:
        names = ", ".join(f"`{_code(name)}`" for name in summary.nodes[:MOST_NODES])
        more = f" and {len(summary.nodes) - MOST_NODES} more" if len(summary.nodes) > MOST_NODES else ""
        word = "Node" if len(summary.nodes) == 1 else "Nodes"
        verdict = f", {_plain(summary.verdict)}" if summary.verdict else ""
        lines.append(f"- {word}: {names}{more}{verdict}")
    if summary.cluster:
        lines.append(f"- Cluster: `{_code(summary.cluster)}`")
    if summary.since is not None:
        seen = f", seen by Muster {_moment(summary.seen_at)}" if summary.seen_at is not None else ""
        lines.append(f"- Since: {_moment(summary.since)}{seen}")
    if summary.effect:
        lines.append(f"- Not usable: {_plain(summary.effect)}")
    if summary.affected:
        lines.append(f"- Affected: {_plain(summary.affected)}")
    if summary.steps:
        lines += ["", "What to do:", ""]
        lines += [_step(number, step) for number, step in enumerate(summary.steps, 1)]
    if summary.url:
        lines += ["", summary.url]
    return "\n".join(lines)


def _step(number: int, step: Step) -> str:
    parts = (f"`{_code(part.text)}`" if part.is_command else _plain(part.text) for part in step.parts)
    lines = (f"    {line}" for line in step.lines)
    return "\n".join([f"{number}. {' '.join(parts)}", *lines])


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %d %b %Y %H:%M} UTC"


def _plain(text: str) -> str:
    return _line(text).translate(_SPECIAL)


def _code(text: str) -> str:
    return _line(text).replace("`", "'")


def _line(text: str) -> str:
    """One line without characters that cannot be seen: they would change what is read before it is pasted."""
    return "".join(letter for letter in " ".join(text.split()) if unicodedata.category(letter) not in ("Cc", "Cf"))
