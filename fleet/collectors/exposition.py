"""Prometheus' text format (0.0.4), read fast: exporters' pages are long, and there may be a thousand of them every half minute.

Measured on a page of 8 GPUs × 40 series (79 kB, one core, `python -m tests.bench.telemetry`): prometheus_client's parser 9.3 ms,
this one 0.6 ms. Nearly all of that lies in labels: the series of one device carry the same ones, so each set is taken apart once.
That both read the same is shown by tests/collectors/test_exposition.py.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_LINE = re.compile(
    r"""^[ \t]*
    ([a-zA-Z_:][a-zA-Z0-9_:]*+)                                 # name
    [ \t]*+
    (?:\{((?:[^"}\n]++|"(?:[^"\\\n]++|\\[^\n])*+")*+)\})?       # labels, whose values may hold braces
    [ \t]*+
    (\S++)                                                      # value
    (?:[ \t]++(-?\d{1,19}))?                                        # milliseconds since 1970
    [ \t]*\r?$""",
    re.MULTILINE | re.VERBOSE,
)
# From the beginning of a word only: else a long word that is not a label would be read again from each of its letters.
_LABEL = re.compile(r'(?<![a-zA-Z0-9_])([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*=[ \t]*"((?:[^"\\]++|\\.)*+)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}


class Sample(NamedTuple):
    """One line. `at_ms` is the exporter's own timestamp; None without one."""

    name: str
    labels: dict[str, str]
    """Shared between samples with equal labels: not to be changed."""
    value: float
    at_ms: int | None = None


def parse(text: str, wanted: Container[str] | None = None) -> Iterator[Sample]:
    """The samples of a page, in order; with `wanted` those of these names only.

    Other lines (comments, HTML, a broken line) are ignored: an invalid line must not affect the others.
    """
    cache: dict[str, dict[str, str]] = {}
    for match in _LINE.finditer(text):
        name, labels, value, at_ms = match.groups()
        if wanted is not None and name not in wanted:
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        known = cache.get(labels or "")
        if known is None:
            known = cache[labels or ""] = _labels(labels) if labels else {}
        yield Sample(name, known, number, int(at_ms) if at_ms else None)


def _labels(text: str) -> dict[str, str]:
    return {name: _unescape(value) if "\\" in value else value for name, value in _LABEL.findall(text)}


def _unescape(value: str) -> str:
    r"""\\, \" and \n; anything else after a backslash stays as it is."""
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[0]), value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def moment(milliseconds: float) -> datetime:
    """Returns the moment of a sample; of a number that no calendar has, one that is never recent."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except (OverflowError, ValueError):
        return _LAST if milliseconds > 0 else _EPOCH


def decode(body: bytes | bytearray) -> str:
    """A page's text. Label values are UTF-8; what is not is marked instead of losing the page."""
    return body.decode("utf-8", "replace")
