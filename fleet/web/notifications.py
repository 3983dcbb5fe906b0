"""Notifications: targets, rules and the delivery log at a glance, and the whole log. Operators see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from fleet.filters import DeliveryFilters
from fleet.selectors.notifications import notifications as select
from fleet.services.notifications.messages import Message, compose, message_of
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import Delivery

STATES = (("", "All"), ("waiting", "Waiting"), ("sent", "Sent"), ("failed", "Failed"), ("suppressed", "Suppressed"))
NEWEST, PER_PAGE = 12, 50


def overview(request: HttpRequest) -> HttpResponse:
    """Context: targets ([NotificationTarget], last_state …), rules ([NotificationRule]), deliveries (newest), may_change, now."""
    demand(request, "operator")

    def context() -> dict[str, object]:
        return {
            "targets": list(select.targets()),
            "rules": list(select.rules()),
            "deliveries": list(select.deliveries()[:NEWEST]),
            "may_change": person(request).may("admin"),
            "now": timezone.now(),
        }

    return render_page(request, "notifications/overview.html", "notifications/_overview.html", context)


def delivery_list(request: HttpRequest) -> HttpResponse:
    """Context: page (Page of Delivery), errors, states (choices), state, target, now."""
    demand(request, "operator")

    def context() -> dict[str, object]:
        filterset = DeliveryFilters(request.GET, queryset=select.deliveries())
        valid = filterset.is_valid()
        result = filterset.qs if valid else select.deliveries().none()
        return {
            "page": Paginator(result, PER_PAGE).get_page(request.GET.get("page")),
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "states": STATES,
            "state": request.GET.get("state", ""),
            "target": request.GET.get("target", ""),
            "rule": request.GET.get("rule", ""),
            "now": timezone.now(),
        }

    return render_page(request, "notifications/deliveries.html", "notifications/_deliveries.html", context)


def inbox(request: HttpRequest, pk: int) -> HttpResponse:
    """What a target of kind inbox was sent. Context: target, page, rows ([(Delivery, Message)]), now."""
    demand(request, "operator")
    target = select.get_target(pk)
    if target is None or target.kind != "inbox":
        raise Http404

    def context() -> dict[str, object]:
        page = Paginator(select.deliveries().filter(target=target, state="sent"), PER_PAGE).get_page(request.GET.get("page"))
        rows = [(delivery, _message(delivery)) for delivery in page]
        return {"target": target, "page": page, "rows": rows, "now": timezone.now()}

    return render_page(request, "notifications/inbox.html", "notifications/_inbox.html", context)


def _message(delivery: Delivery) -> Message:
    if delivery.is_test:
        return compose(delivery)
    return message_of(delivery, [item.notice for item in delivery.items.all()])


def delivery_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Context: delivery (with its items), most_tries, now."""
    demand(request, "operator")
    delivery = select.get_delivery(pk)
    if delivery is None:
        raise Http404
    context = {"delivery": delivery, "now": timezone.now()}
    return render_page(request, "notifications/delivery.html", "notifications/_delivery.html", context)
