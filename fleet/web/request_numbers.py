"""The platform's own numbers: who asks for what, how long it takes, and how many GPU pods use a class."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.selectors.request_numbers import numbers
from fleet.web.people import demand
from fleet.web.render import render_page

DAYS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "A year"))


def request_numbers(request: HttpRequest) -> HttpResponse:
    """Context: told (Numbers), days (choices), chosen, since, now."""
    demand(request, "operator")
    chosen = request.GET.get("days", "")
    chosen = chosen if chosen in dict(DAYS) else "30"

    def context() -> dict[str, Any]:
        now = timezone.now()
        since = now - timedelta(days=int(chosen))
        return {"told": numbers(since), "days": DAYS, "chosen": chosen, "since": since, "now": now}

    return render_page(request, "requests/numbers.html", "requests/_numbers.html", context)
