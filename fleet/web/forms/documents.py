"""Forms that declare a pool or class: the fields become the spec of a document, and the document's reader reports the problems.

So there is one set of rules and sentences, whether a pool or class comes from a file, the API or a form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from django import forms

from fleet.domain.documents.documents import Declared, read_one

if TYPE_CHECKING:
    from django.http import QueryDict

    from fleet.domain.documents.fields import Problem
    from fleet.domain.documents.reader import Plain

Cleaned: TypeAlias = Mapping[str, str | bool | list[str]]
"""Fields of a declared form by name, cleaned."""


class Names(forms.MultipleChoiceField):
    """Several of these, and declared values that no object has now."""

    def valid_value(self, value: object) -> bool:
        return True


class Text(forms.CharField):
    """An optional text; the document limits its length."""

    def __init__(self, *, initial: str = "") -> None:
        super().__init__(required=False, initial=initial)


class Lines(Text):
    """Several texts, one per line or separated by commas."""

    def clean(self, value: object) -> list[str]:
        return [part.strip() for line in str(value or "").splitlines() for part in line.split(",") if part.strip()]


class Switch(forms.BooleanField):
    def __init__(self, *, initial: bool = False) -> None:
        super().__init__(required=False, initial=initial)


class DeclaredForm(forms.Form):
    """A form over one document. `PATHS` are its fields' names, each with its place in the document."""

    KIND: ClassVar[str]
    PATHS: ClassVar[Mapping[str, str]]

    slug = Text()
    declared: Declared = Declared()
    """The declared object, after cleaning."""

    def __init__(
        self, data: QueryDict | None, *, initial: Mapping[str, object], slug: str = "", known_pools: Iterable[str] = ()
    ) -> None:
        super().__init__(data, initial=dict(initial))
        self._slug = slug
        self._known_pools = tuple(known_pools)

    def offer(self, name: str, known: Iterable[str]) -> None:
        """The choices of a field: existing values, and those already chosen."""
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 for the type checker
        chosen = self.data.getlist(name) if self.is_bound and hasattr(self.data, "getlist") else self.initial.get(name) or ()
        field.choices = [(fromkey, fromkey) for fromkey in dict.fromkeys([*known, *chosen])]

    def values(self, cleaned: Cleaned) -> dict[str, Plain]:
        """Returns the fields as the document has them; a form overrides it for fields other than text."""
        return dict(cleaned)

    def spec_fields(self, cleaned: Cleaned) -> dict[str, Plain]:
        """Returns the spec of the document: every field that is filled in, at its path."""
        spec: dict[str, Plain] = {}
        for name, value in self.values(cleaned).items():
            if name not in self.PATHS or value in ("", None, []):
                continue
            *parents, last = self.PATHS[name].split(".")
            place = spec
            for parent in parents:
                inner = place.setdefault(parent, {})
                assert isinstance(inner, dict)  # noqa: S101 no path goes through a value
                place = inner
            place[last] = value
        return spec

    def clean(self) -> dict[str, object]:
        fields = dict(super().clean() or {})
        name = self._slug or fields.get("slug", "")
        if not name:
            self.add_error("slug", "A name is required.")
        self.declared = read_one(self.KIND, name, self.spec_fields(fields), self._known_pools)
        for problem in self.declared.problems:
            self.add_error(self._field_of(problem), problem.text)
        return fields

    def _field_of(self, problem: Problem) -> str | None:
        """The form's field that a problem of the document is about."""
        if problem.field.startswith("metadata"):
            return None if self._slug else "slug"
        path = problem.field.removeprefix("spec.")
        fitting = [name for name, where in self.PATHS.items() if path == where or path.startswith((f"{where}.", f"{where}["))]
        return fitting[0] if fitting else None
