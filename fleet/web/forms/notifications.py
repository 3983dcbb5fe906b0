"""The forms of targets and rules.

The services validate the values; their sentences are shown beside the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from fleet.domain.findings import Severity

KINDS = (
    ("verdict", "A node becomes not ready or unknown, and its recovery"),
    ("finding", "A finding is opened or resolved"),
    ("cluster", "A cluster becomes unreachable, and its recovery"),
    ("compliance", "Compliance of a pool or class becomes at risk or violated, and its recovery"),
    ("request", "A request for a class is created, decided, changed, expires or has no room"),
)
VERDICTS = (("not_ready", "Not ready"), ("unknown", "Unknown"))
SEVERITIES = [
    (str(severity), f"{str(severity).capitalize()}{'' if severity == 'fatal' else ' and worse'}") for severity in Severity
]
TARGET_KINDS = (
    ("apprise", "Messenger, e-mail or pager (an Apprise address)"),
    ("webhook", "Signed webhook"),
    ("inbox", "Inbox: a page in Muster that shows what would be sent"),
)


class TargetForm(forms.Form):
    name = forms.CharField(max_length=100)
    kind = forms.ChoiceField(choices=TARGET_KINDS, initial="apprise", required=False)
    address = forms.CharField(max_length=2000, required=False)
    secret = forms.CharField(max_length=200, required=False)


class RuleForm(forms.Form):
    name = forms.CharField(max_length=100)
    target = forms.TypedChoiceField(coerce=int)
    enabled = forms.BooleanField(required=False, initial=True)
    kinds = forms.MultipleChoiceField(required=False)
    verdicts = forms.MultipleChoiceField(choices=VERDICTS, required=False)
    min_severity = forms.ChoiceField(choices=SEVERITIES, initial="critical")
    clusters = forms.MultipleChoiceField(required=False)
    products = forms.MultipleChoiceField(required=False)
    pools = forms.CharField(max_length=2000, required=False)
    recoveries = forms.BooleanField(required=False, initial=True)
    group_s = forms.IntegerField(initial=60)
    repeat_s = forms.IntegerField(initial=0)
    quiet_from = forms.TimeField(required=False)
    quiet_until = forms.TimeField(required=False)

    def __init__(
        self,
        data: QueryDict | Mapping[str, object] | None = None,
        *,
        initial: Mapping[str, object] | None = None,
        targets: Iterable[tuple[int, str]],
        clusters: Iterable[str],
        products: Iterable[str],
        kinds: Iterable[str] = (),
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        known = dict(KINDS)
        self._offer("target", list(targets))
        self._offer("clusters", [(name, name) for name in clusters])
        self._offer("products", [(name, name) for name in products])
        self._offer("kinds", [*KINDS, *((kind, kind.capitalize()) for kind in kinds if kind not in known)])

    def _offer(self, name: str, choices: list[tuple[str, str]] | list[tuple[int, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 for the type checker
        field.choices = choices

    def clean_pools(self) -> list[str]:
        return [part.strip() for part in self.cleaned_data["pools"].split(",") if part.strip()]


def add_errors(form: forms.Form, error: ValidationError) -> None:
    """Adds the service's sentences to their fields."""
    for name, sentences in error.message_dict.items():
        form.add_error(name if name in form.fields else None, sentences)
