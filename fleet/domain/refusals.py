"""Refusals with a sentence for users: one base for services and domain, three kinds that callers distinguish."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 the word of the domain
    """The request is refused; the text is one sentence for users. `fields` has the reasons by field, empty for none."""

    fields: tuple[tuple[str, str], ...] = ()

    @property
    def field(self) -> str:
        """Returns the first invalid field; empty where none is."""
        return self.fields[0][0] if self.fields else ""


class FieldError(Refused, ValueError):
    """A field has a value that is refused: 400."""

    def __init__(self, field: str, sentence: str, *more: tuple[str, str]) -> None:
        self.fields = ((field, sentence), *more)
        super().__init__(sentence)


class NotNow(Refused):
    """The object is in a state in which this cannot be done: 409."""


class NotYours(Refused):
    """The person may not do this: 403."""
