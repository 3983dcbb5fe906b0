"""Forms that write a declaration: what is filled in becomes a document, and the reader of YAML says what is wrong with it.

So there is one set of rules and sentences, whether a pool or class comes from a file, the API or a form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import yaml
from django import forms

from fleet.domain.declared.documents import API, Declared, read
from fleet.domain.declared.reader import Problem


class Names(forms.MultipleChoiceField):
    """Any of these, and what is declared already though nothing has it now."""

    def valid_value(self, value: Any) -> bool:
        return True


class Text(forms.CharField):
    """A text that may be left out; how long it may be is the document's business."""

    def __init__(self, **more: Any) -> None:
        super().__init__(required=False, **more)


class Lines(Text):
    """Several texts, one a line or with commas between them."""

    def clean(self, value: Any) -> list[str]:
        return [part.strip() for line in str(value or "").splitlines() for part in line.split(",") if part.strip()]


class Switch(forms.BooleanField):
    def __init__(self, **more: Any) -> None:
        super().__init__(required=False, **more)


class DeclaredForm(forms.Form):
    """A form over one document. `PATHS` are its fields' names, each with its place in the document."""

    KIND: ClassVar[str]
    PATHS: ClassVar[Mapping[str, str]]

    slug = Text()
    declared: Declared = Declared()
    """What the document declares, once the form was cleaned."""

    def __init__(self, *arguments: Any, slug: str = "", known_pools: Iterable[str] = (), **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._slug = slug
        self._known_pools = tuple(known_pools)

    def offer(self, name: str, known: Iterable[str]) -> None:
        """The choices of a field: what there is, and what is chosen already."""
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 for the type checker
        chosen = self.data.getlist(name) if self.is_bound and hasattr(self.data, "getlist") else self.initial.get(name) or ()
        field.choices = [(one, one) for one in dict.fromkeys([*known, *chosen])]

    def document(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """The spec of the document, out of cleaned fields."""
        spec: dict[str, Any] = {}
        for name, path in self.PATHS.items():
            value = told.get(name)
            if value in ("", None, []):
                continue
            *parents, last = path.split(".")
            place = spec
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        return spec

    def clean(self) -> dict[str, Any]:
        told = dict(super().clean() or {})
        name = self._slug or told.get("slug", "")
        if not name:
            self.add_error("slug", "Give it a name.")
        stream = {"apiVersion": API, "kind": self.KIND, "metadata": {"name": name}, "spec": self.document(told)}
        self.declared = read(yaml.safe_dump(stream, allow_unicode=True), self._known_pools)
        for problem in self.declared.problems:
            self.add_error(self._field_of(problem), problem.text)
        return told

    def _field_of(self, problem: Problem) -> str | None:
        """The form's field that a problem of the document is about."""
        if problem.field.startswith("metadata") or problem.field == "metadata.name":
            return None if self._slug else "slug"
        path = problem.field.removeprefix("spec.")
        fitting = [name for name, where in self.PATHS.items() if path == where or path.startswith((f"{where}.", f"{where}["))]
        return fitting[0] if fitting else None
