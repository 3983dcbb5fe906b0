"""Notification rules: which events are sent to which target. Only administrators change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from fleet.selectors.notifications import notifications as select
from fleet.services.notifications import rules
from fleet.web.forms.notifications import RuleForm, add_errors
from fleet.web.shell.people import demand, person

if TYPE_CHECKING:
    from fleet.models import NotificationRule


def add(request: HttpRequest) -> HttpResponse:
    """Context: form, rule (None), targets ([NotificationTarget])."""
    demand(request, "admin")
    return _edit(request, None)


def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Context: form, rule, targets."""
    demand(request, "admin")
    return _edit(request, _rule(pk))


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Deletes the rule; the log of its deliveries is kept."""
    demand(request, "admin")
    rule = _rule(pk)
    name = rule.name
    rules.delete(person(request), rule)
    messages.success(request, f"The rule {name} was deleted.")
    return redirect("notifications")


def _rule(pk: int) -> NotificationRule:
    rule = select.get_rule(pk)
    if rule is None:
        raise Http404
    return rule


def _edit(request: HttpRequest, rule: NotificationRule | None) -> HttpResponse:
    targets = list(select.targets())
    chosen = {name: list(getattr(rule, name, ())) for name in ("clusters", "products", "kinds")}
    form = RuleForm(
        request.POST or None,
        initial=_initial(rule, request.GET.get("target")),
        targets=[(target.pk, target.name) for target in targets],
        clusters=select.cluster_names(chosen["clusters"]),
        products=select.product_names(chosen["products"]),
        kinds=chosen["kinds"],
    )
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data | {"target": next(item for item in targets if item.pk == form.cleaned_data["target"])}
        try:
            saved = rules.save(person(request), rule, given)
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(request, f"The rule {saved.name} was {'changed' if rule else 'created'}.")
            return redirect("notifications")
    status = 400 if form.errors else 200
    return render(request, "notifications/rule.html", {"form": form, "rule": rule, "targets": targets}, status=status)


def _initial(rule: NotificationRule | None, target: str | None) -> dict[str, object]:
    if rule is None:
        return {"target": target} if target else {}
    result = {name: getattr(rule, name) for name in rules.FIELDS if name not in ("target", "pools")}
    return {**result, "target": rule.target_id, "pools": ", ".join(rule.pools)}
