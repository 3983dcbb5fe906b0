"""Adopting suggested pools: one, or several with one target and policy. Operators only."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet import tasks
from fleet.domain.documents.pools import HIGHEST_RUNG
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.suggest import Suggestion
from fleet.domain.refusals import FieldError
from fleet.selectors.pools import pools as select
from fleet.services import pools as service
from fleet.templatetags import formats
from fleet.web.shell.people import demand, person

MOST = 200


@require_POST
def adopt(request: HttpRequest) -> HttpResponse:
    """POST slug (once or more; `only` for one alone), target, required_rung, owner, partial_nodes: makes the suggested pools.

    They are made as they are suggested now, with what is given of the policy, all or none.
    """
    demand(request, "operator")
    now = timezone.now()
    wanted = [only] if (only := request.POST.get("only", "")) else list(dict.fromkeys(request.POST.getlist("slug")))[:MOST]
    if not wanted:
        messages.error(request, "Select the pools to adopt.")
        return redirect("pools")
    offered = {suggestion.pool.slug: suggestion for suggestion in select.suggestions(now)}
    if gone := [slug for slug in wanted if slug not in offered]:
        messages.error(request, f"Pool {gone[0][:63]} is no longer suggested: its nodes are in a pool or were removed.")
        return redirect("pools")
    try:
        specs = [_with_policy(request, offered[slug].pool) for slug in wanted]
    except FieldError as error:
        messages.error(request, str(error))
        return redirect("pools")
    with transaction.atomic():
        for spec in specs:
            service.save(person(request), spec, now)
    tasks.wake_compliance()
    messages.success(request, _made([offered[slug] for slug in wanted]))
    return redirect("pool", slug=wanted[0]) if len(wanted) == 1 else redirect("pools")


def _with_policy(request: HttpRequest, spec: PoolSpec) -> PoolSpec:
    """Returns the pool with what the form says of its policy; what is empty stays as it is suggested."""
    policy = spec.policy
    if text := request.POST.get("target", "").strip():
        policy = msgspec.structs.replace(policy, availability_target=_target(text))
    if text := request.POST.get("required_rung", "").strip():
        policy = msgspec.structs.replace(policy, required_rung=_rung(text))
    if owner := request.POST.get("owner", "").strip():
        if len(owner) > 120 or not owner.isprintable():
            raise FieldError("owner", "Give an owner of at most 120 printable characters.")
        policy = msgspec.structs.replace(policy, owner=owner)
    if request.POST.get("partial_nodes") == "on":
        policy = msgspec.structs.replace(policy, partial_nodes=True)
    return msgspec.structs.replace(spec, policy=policy)


def _target(text: str) -> float:
    try:
        percent = float(text.removesuffix("%").strip())
    except ValueError:
        percent = -1.0
    if not 0 < percent <= 100:
        raise FieldError("target", f"“{text[:20]}” is not an availability target: give percent above 0, at most 100.")
    return percent


def _rung(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) <= HIGHEST_RUNG):
        raise FieldError("required_rung", f"“{text[:20]}” is not a rung: choose one from 0 to {HIGHEST_RUNG}.")
    return int(text)


def _made(adopted: Sequence[Suggestion]) -> str:
    nodes = formats.plural(sum(suggestion.nodes for suggestion in adopted), "node")
    if len(adopted) == 1:
        return f"Pool {adopted[0].pool.slug} was created with {nodes}."
    return f"{formats.plural(len(adopted), 'pool')} were created with {nodes}."
