"""Notification targets. Only administrators change them; operators may send a test."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from fleet import tasks
from fleet.selectors.notifications import notifications as select
from fleet.services.notifications import messengers, targets
from fleet.web.forms.notifications import TargetForm, add_errors
from fleet.web.shell.people import demand, person

TEMPLATE = "notifications/target.html"


@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Context: form, target (None), examples ([(label, address)]); after a webhook was created: target, secret (shown once)."""
    demand(request, "admin")
    form = TargetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            target, secret = targets.create(
                person(request),
                name=given["name"],
                kind=given["kind"] or "apprise",
                address=given["address"],
                secret=given["secret"],
            )
        except ValidationError as error:
            add_errors(form, error)
        else:
            if target.kind == "webhook":
                return render(request, "notifications/secret.html", {"target": target, "secret": secret})
            messages.success(request, f"{target.name} added. Send a test.")
            return redirect("notifications")
    return _form(request, form, None)


def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Context: form, target, examples. Address and secret are never shown; empty fields leave them unchanged."""
    demand(request, "admin")
    target = select.get_target(pk)
    if target is None:
        raise Http404
    form = TargetForm(request.POST or None, initial={"name": target.name, "kind": target.kind})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            targets.update(person(request), target, name=given["name"], address=given["address"], secret=given["secret"])
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(request, f"{target.name} was changed.")
            return redirect("notifications")
    return _form(request, form, target)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Deletes the target and its rules."""
    demand(request, "admin")
    target = select.get_target(pk)
    if target is None:
        raise Http404
    name, rules = target.name, target.rules.count()
    targets.delete(person(request), target)
    with_rules = f" with {rules} rule{'s' if rules != 1 else ''}" if rules else ""
    messages.success(request, f"{name} was deleted{with_rules}.")
    return redirect("notifications")


@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Sends a test message and shows its delivery."""
    demand(request, "operator")
    target = select.get_target(pk)
    if target is None:
        raise Http404
    delivery = targets.send_test(person(request), target, timezone.now())
    tasks.wake_notify()
    return redirect("delivery", pk=delivery.pk)


def _form(request: HttpRequest, form: TargetForm, target: object) -> HttpResponse:
    status = 400 if form.errors else 200
    return render(request, TEMPLATE, {"form": form, "target": target, "examples": messengers.examples()}, status=status)
