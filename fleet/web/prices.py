"""Prices of GPUs: what one costs for an hour. All roles read them, operators set and remove them."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError
from fleet.selectors import clusters
from fleet.selectors import prices as select
from fleet.services import prices as service
from fleet.web.forms.typed import Refusal, typed
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page


def price_list(request: HttpRequest) -> HttpResponse:
    """GET: every price. POST (operators): sets one.

    Context: prices ([Price]), unpriced ([Unpriced]), products, cluster_names, operates, fields (name → Typed), form.
    """
    fields = {name: request.POST.get(name, "") for name in service.FIELDS}
    errors: dict[str, str] = {}
    if request.method == "POST":
        demand(request, "operator")
        try:
            price = service.save(person(request), fields, timezone.now())
        except FieldError as error:
            errors = dict(error.fields)
        else:
            messages.success(request, f"Price of {service.subject(price)} saved.")
            return redirect("prices")

    def context() -> dict[str, object]:
        return {
            "prices": list(select.prices()),
            "unpriced": select.unpriced(),
            "products": select.products(),
            "cluster_names": [row.name for row in clusters.clusters().order_by("name")],
            "operates": person(request).may("operator"),
            "fields": typed(fields if errors else {**fields, "currency": "USD"}, errors),
            "form": Refusal(errors),
        }

    return render_page(request, "prices/list.html", "prices/_list.html", context, status=400 if errors else 200)


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Removes a price."""
    demand(request, "operator")
    price = select.get_price(pk)
    if price is None:
        raise Http404
    name = service.subject(price)
    service.remove(person(request), price, timezone.now())
    messages.success(request, f"Price of {name} removed.")
    return redirect("prices")
