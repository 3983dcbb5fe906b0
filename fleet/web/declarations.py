"""Pools and classes as YAML: applied by operators after a preview of the changes, and exported."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from fleet import tasks
from fleet.domain.refusals import NotNow
from fleet.services import documents
from fleet.web.shell.people import demand, person

LONGEST_SOURCE = 200


def apply(request: HttpRequest) -> HttpResponse:
    """POST text, source, do (look or apply): a preview of the changes, or applies them.

    Context: text, source, applied (services.applying.Applied or None), changed (bool), empty (bool), refused (a sentence).
    """
    demand(request, "operator")
    text, source = request.POST.get("text", ""), request.POST.get("source", "").strip()[:LONGEST_SOURCE]
    context: dict[str, object] = {"text": text, "source": source, "applied": None, "changed": False}
    if request.method != "POST":
        return render(request, "pools/apply.html", context)
    if not text.strip():
        return render(request, "pools/apply.html", {**context, "empty": True}, status=400)
    really = request.POST.get("do") == "apply"
    prune = bool(source) and request.POST.get("prune") == "on"
    context["prune"] = prune
    # Without a source, applied objects can be changed on the pages, and nothing is removed.
    try:
        done = documents.apply(person(request), text, source, timezone.now(), dry_run=not really, prune=prune)
    except NotNow as refused:
        return render(request, "pools/apply.html", {**context, "refused": str(refused)}, status=409)
    changed = bool(done.removed) or any(change.action != "unchanged" for change in done.changes)
    if really and not done.problems:
        tasks.wake_compliance()
        messages.success(request, _said(done))
        return redirect("pools")
    status = 400 if done.problems else 200
    return render(request, "pools/apply.html", {**context, "applied": done, "changed": changed}, status=status)


def _said(done: documents.Applied) -> str:
    counts = {
        action: sum(1 for change in done.changes if change.action == action) for action in ("create", "update", "unchanged")
    }
    rows = [
        (counts["create"], "made"),
        (counts["update"], "changed"),
        (len(done.removed), "removed"),
        (counts["unchanged"], "left"),
    ]
    return f"Applied: {', '.join(f'{number} {word}' for number, word in rows if number)}."
