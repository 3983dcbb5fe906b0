"""Ways to filter that several lists share: any of these values, yes or no, a label selector."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import IntegerField, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils.dateparse import parse_datetime
from django_filters.fields import IsoDateTimeField
from django_filters.utils import get_model_field

from fleet.domain import label_selectors
from fleet.domain.refusals import FieldError
from fleet.models import Node

_LOST_PLUS = re.compile(r" (?=\d\d:\d\d$)")
LONGEST_WORDS, MOST_WORDS = 200, 10
LONGEST_SELECTOR, MOST_VALUES = 1_000, 30


class _Values(forms.SelectMultiple):
    """Reads a parameter that may be repeated."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        values = data.getlist(name) if hasattr(data, "getlist") else data.get(name, [])
        return [values] if isinstance(values, str) else list(values)


class ValuesField(forms.Field):
    widget = _Values

    def __init__(self, *, known: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known
        """Allowed values; empty where any text is allowed."""

    def clean(self, value: Any) -> list[str]:
        values = [item for item in value or [] if item]
        wrong = [part for item in values for part in item.split(",") if part not in self.known] if self.known else []
        if wrong:
            raise ValidationError(f"“{wrong[0][:40]}” is not one of {', '.join(self.known)}.")
        return values


class AnyOf(filters.Filter):
    """Any of these values: `?product=a&product=b`, or with a comma between them unless `split` is off (for sentences).

    `unknown` also matches rows without a value, stored as empty text. A column with choices has no other values: a misspelt
    one is an error, not an empty list.
    """

    field_class = ValuesField

    def __init__(self, field_name: str, *, split: bool = True, **kwargs: Any) -> None:
        super().__init__(field_name=field_name, **kwargs)
        self.split = split

    @property
    def field(self) -> forms.Field:
        """Returns the form's field, which knows the choices of the model's."""
        column = get_model_field(self.model, self.field_name)
        if column is not None and column.choices:
            self.extra["known"] = [str(choice) for choice, _ in column.flatchoices]
        return super().field

    def filter(self, qs: QuerySet, value: list[str] | None) -> QuerySet:
        wanted = {part for item in value or [] for part in (item.split(",") if self.split else [item])}
        if not wanted:
            return qs
        if "unknown" in wanted:
            wanted.add("")
        return qs.filter(**{f"{self.field_name}__in": sorted(wanted)})


class _CodesField(ValuesField):
    def clean(self, value: object) -> list[str]:
        codes = [part.strip() for item in super().clean(value) for part in item.split(",") if part.strip()]
        if wrong := [code for code in codes if not (code.isascii() and code.isdecimal() and len(code) <= 9)]:
            raise ValidationError(f"{wrong[0]!r} is not a code: codes are whole numbers.")
        return codes


class AnyCode(AnyOf):
    """Any of these whole numbers."""

    field_class = _CodesField


class _MomentField(IsoDateTimeField):
    """A time with its offset. Postgres takes offsets up to 15:59 and Python up to 23:59, so it is brought to UTC here."""

    def clean(self, value: object) -> datetime | None:
        if value is None:
            return None
        try:
            at = parse_datetime(_LOST_PLUS.sub("+", str(value).strip()))
            at = at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
        except (ValueError, OverflowError):  # a moment of year 1 or 9999 may have no equivalent in UTC
            at = None
        if at is None:
            raise ValidationError("Enter a time with its UTC offset, for example 2026-11-23T14:02:00Z.")
        return at


class Moment(filters.IsoDateTimeFilter):
    """A time with its UTC offset (RFC 3339)."""

    field_class = _MomentField


class YesNo(filters.TypedChoiceFilter):
    """`true` or `false`, and nothing else: a misspelt answer is an error, not "unset"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(*args, choices=choices, coerce=lambda text: text == "true", empty_value=None, **kwargs)

    def filter(self, qs: QuerySet, value: bool | None) -> QuerySet:
        return qs if value is None else qs.filter(**{self.field_name: value})


class _WordsField(forms.CharField):
    def __init__(self, *, labels: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.labels = labels

    def clean(self, value: object) -> Any:
        text = super().clean(value)
        if len(text) > LONGEST_WORDS:
            raise ValidationError(f"A search has at most {LONGEST_WORDS} characters; this one has {len(text):,}.")
        words = words_of(text)
        if len(words) > MOST_WORDS:
            raise ValidationError(f"A search has at most {MOST_WORDS} different words; this one has {len(words)}.")
        for word in words:
            if self.labels and is_label(word):
                label_query(word)
        return text


class Words(filters.CharFilter):
    """Words that must all be found.

    Each is one more condition on every row, so there are few of them; with `labels` some may be label selectors (see
    is_label).
    """

    field_class = _WordsField


def words_of(text: str) -> list[str]:
    """The distinct words of a search, in order."""
    return list(dict.fromkeys(text.split()))


def is_label(word: str) -> bool:
    """Whether a word of a search is a label selector: key=value or !key."""
    return "=" in word or word.startswith("!")


class _SelectorField(forms.CharField):
    def clean(self, value: object) -> Any:
        text = super().clean(value)
        if len(text) > LONGEST_SELECTOR:
            raise ValidationError(f"A label selector has at most {LONGEST_SELECTOR:,} characters; this one has {len(text):,}.")
        label_query(text)
        return text


class Selector(filters.CharFilter):
    """A label selector; one that cannot be read is an error of its field."""

    field_class = _SelectorField


def label_query(text: str, field: str = "labels") -> Q:
    """A label selector as a query over a JSON column. Raises ValidationError with the sentence of the grammar."""
    try:
        requirements = label_selectors.parse(text)
    except FieldError as error:
        raise ValidationError(str(error)) from error
    asked = sum(max(1, len(item.values)) for item in requirements)
    if asked > MOST_VALUES:
        raise ValidationError(f"A label selector has at most {MOST_VALUES} values; this one has {asked}.")
    query = Q()
    for requirement in requirements:
        match requirement.operator:
            case "in":
                query &= _any(Q(**{f"{field}__contains": {requirement.key: value}}) for value in requirement.values)
            case "notin":
                query &= ~_any(Q(**{f"{field}__contains": {requirement.key: value}}) for value in requirement.values)
            case "exists":
                query &= Q(**{f"{field}__has_key": requirement.key})
            case "absent":
                query &= ~Q(**{f"{field}__has_key": requirement.key})
            case comparison:
                query &= Q(pk__in=_compared(field, requirement.key, comparison, int(requirement.values[0])))
    return query


def _any(queries: Any) -> Q:
    result = Q()
    for query in queries:
        result |= query
    return result


def _compared(field: str, key: str, comparison: str, value: int) -> QuerySet:
    """Nodes whose label is a whole number above or below `value`; any other text matches neither."""
    return (
        Node.objects.annotate(_text=Cast(KeyTextTransform(key, field), TextField()))
        .filter(_text__regex=r"^-?[0-9]{1,9}$")
        .annotate(_number=Cast("_text", IntegerField()))
        .filter(**{f"_number__{comparison}": value})
        .values("pk")
    )
