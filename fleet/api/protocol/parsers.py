"""Bodies of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """JSON; text nested deeper than Python can parse is refused like any other invalid text."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        try:
            data = super().parse(stream, media_type, parser_context)
            if not _is_storable(data):
                raise ParseError("JSON parse error - A text contains NUL or half of a surrogate pair, which cannot be stored.")
        except RecursionError as error:
            raise ParseError("JSON parse error - It is nested too deeply.") from error
        return data


def _is_storable(value: object) -> bool:
    """Whether Postgres can store every text of a body, keys included."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_is_storable(key) and _is_storable(entry) for key, entry in value.items())
    return all(map(_is_storable, value)) if isinstance(value, list) else True
