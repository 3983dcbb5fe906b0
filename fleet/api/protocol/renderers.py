"""JSON by msgspec, CSV by the standard library."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.renderers import JSONRenderer as DRFJSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from fleet.api.protocol.problems import CONTENT_TYPE

_fallback = JSONEncoder().default


def _plain(value: object) -> object:
    # DRF's sentences are a subclass of str, which msgspec does not encode
    return str.__str__(value) if isinstance(value, str) else _fallback(value)


_encoder = msgspec.json.Encoder(enc_hook=_plain)


class JSONRenderer(DRFJSONRenderer):
    """Several times faster than the default on pages of 1,000 nodes; problems keep their own media type."""

    def render(
        self, data: object, accepted_media_type: str | None = None, renderer_context: Mapping[str, object] | None = None
    ) -> bytes:
        if data is None:
            return b""
        response = renderer_context.get("response") if renderer_context else None
        if isinstance(response, Response) and response.status_code >= 400:
            response.content_type = CONTENT_TYPE
        return _encoder.encode(data)


class CSVRenderer(BaseRenderer):
    """`?format=csv` of lists, which stream their rows themselves; renders only errors."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: object, accepted_media_type: str | None = None, renderer_context: Mapping[str, object] | None = None
    ) -> bytes:
        response = renderer_context.get("response") if renderer_context else None
        if isinstance(response, Response):
            response["Content-Type"] = CONTENT_TYPE
        return _encoder.encode(data)


class Formats(DefaultContentNegotiation):
    """Returns 406, not 404, for a format that a view does not have; a method that it does not have comes first (405)."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        view = request.parser_context.get("view")
        if view is not None and request.method not in view.allowed_methods:
            first = next(iter(renderers))
            return first, first.media_type
        if request.query_params.get("format") == "":
            self.filter_renderers(renderers, "")
        return super().select_renderer(request, renderers, format_suffix)

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:
        renderers = list(renderers)
        rows = [renderer for renderer in renderers if renderer.format == format]
        if not rows:
            known = " or ".join(str(renderer.format) for renderer in renderers)
            raise NotAcceptable(f"Format {format} is not available. Use {known}.")
        return rows


# Characters with which a spreadsheet evaluates a cell, also after a semicolon, a tab or a line break.
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def csv_lines(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Iterator[str]:
    """Header and lines. Unknown is an empty cell; text that a spreadsheet would run as a formula is quoted with '."""
    yield _line(columns)
    for row in rows:
        yield _line([_cell(row.get(column)) for column in columns])


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return _FORMULA.sub(r"\1'", msgspec.json.encode(value).decode())
    if isinstance(value, str):
        return _FORMULA.sub(r"\1'", value)
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
