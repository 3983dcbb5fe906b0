"""Workflow of access requests: steps by state, who may take them, and what needs no approval.

draft → submitted → approved → active → expiring → expired, with rejected and withdrawn as ways out. Pure: the caller supplies
rows and moments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.parameters import problems as refused_names
from fleet.domain.refusals import FieldError, NotNow

DRAFT, SUBMITTED, APPROVED, ACTIVE, EXPIRING = "draft", "submitted", "approved", "active", "expiring"
REJECTED, WITHDRAWN, EXPIRED = "rejected", "withdrawn", "expired"
GRANTED = frozenset({APPROVED, ACTIVE, EXPIRING})
"""States in which the team may use what it requested."""
OVER = frozenset({REJECTED, WITHDRAWN, EXPIRED})

STEPS: Mapping[str, frozenset[str]] = {
    "edit": frozenset({DRAFT}),
    "submit": frozenset({DRAFT}),
    "approve": frozenset({SUBMITTED}),
    "reject": frozenset({SUBMITTED}),
    "withdraw": frozenset({DRAFT, SUBMITTED, *GRANTED}),
    "extend": GRANTED,
    "resize": GRANTED,
    "decide_change": GRANTED,
    "activate": frozenset({APPROVED}),
    "warn": frozenset({APPROVED, ACTIVE}),
    "expire": GRANTED,
    "comment": frozenset({DRAFT, SUBMITTED, *GRANTED, *OVER}),
}
"""Step to the states it may be taken from."""

OF_THE_TEAM = frozenset({"edit", "submit", "withdraw", "extend", "resize", "comment"})
"""Steps a member of the team may take; the others are taken by operators or on schedule."""

LONGEST_WARNING = timedelta(days=7)
LONGEST_HOURS = 10 * 366 * 24


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits within which a team needs no approval."""

    replicas: int | None = None
    """Replicas in all, over every granted request of the team; None: everything needs approval."""
    hours: int | None = None
    """Longest duration; None: no end."""


class RequestedAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Content of an access request."""

    namespace: str
    name: str
    replicas: int
    image: str = ""
    """Empty: not known yet."""
    hours: int | None = None
    """None: as long as the class allows."""
    gpus: int | None = None
    """Slots per replica, where the class lets one choose; None: as many as the class defines."""


def problems(
    requested: RequestedAccess, limits: Limits, team: str, namespaces: Sequence[str], sizes: Sequence[int]
) -> tuple[tuple[str, str], ...]:
    """Returns the problems of a request as field and sentence, in the order of the form; empty without any.

    `namespaces` are the team's own, `sizes` the class's choices. Names and image follow Kubernetes' rules, as in a manifest.
    """
    rows = [_trouble(lambda: check_gpus(requested.gpus, sizes)), _trouble(lambda: check_size(requested.replicas))]
    rows.append(_trouble(lambda: check_place(requested.namespace, team, namespaces)))
    parameters = Parameters(name=requested.name, image=requested.image or Parameters().image)
    rows += [problem for problem in refused_names(parameters) if problem[0] in ("name", "image")]
    rows.append(_trouble(lambda: check_hours(requested.hours, limits)))
    return tuple(item for item in rows if item is not None)


def _trouble(check: Callable[[], None]) -> tuple[str, str] | None:
    try:
        check()
    except FieldError as error:
        return error.field, str(error)
    return None


def check_requested_access(
    requested: RequestedAccess, limits: Limits, team: str, namespaces: Sequence[str], sizes: Sequence[int]
) -> None:
    """Raises FieldError with the problem of every invalid field."""
    if result := problems(requested, limits, team, namespaces, sizes):
        raise FieldError(*result[0], *result[1:])


def check_place(namespace: str, team: str, namespaces: Sequence[str]) -> None:
    """Raises FieldError for a namespace that is not the team's."""
    if namespace not in namespaces:
        has = ", ".join(namespaces) or "none"
        result = f"{namespace} is not a namespace of {team}." if namespace else f"Choose a namespace of {team}."
        raise FieldError("namespace", f"{result} Namespaces of the team: {has}.")


def check_gpus(gpus: int | None, sizes: Sequence[int]) -> None:
    """Raises FieldError for a number of slots per replica that the class does not have."""
    if gpus is not None and gpus not in sizes:
        raise FieldError("gpus", f"This class has {', '.join(map(str, sizes))} slots per replica.")


def check_step(step: str, state: str) -> None:
    """Raises NotNow where `step` cannot be taken from `state`."""
    if state not in STEPS[step]:
        raise NotNow(f"{_IS[state]} and cannot be {_DONE[step]}.")


_DONE = {
    "edit": "edited",
    "submit": "submitted",
    "approve": "approved",
    "reject": "rejected",
    "withdraw": "withdrawn",
    "extend": "extended",
    "resize": "resized",
    "decide_change": "changed",
    "activate": "activated",
    "warn": "about to expire",
    "expire": "expired",
    "comment": "commented on",
}
_IS = {
    DRAFT: "This request is still a draft",
    SUBMITTED: "This request waits for a decision",
    APPROVED: "This request is already approved",
    ACTIVE: "This request is approved and in use",
    EXPIRING: "This request is approved, is about to expire",
    REJECTED: "This request was rejected",
    WITHDRAWN: "This request was withdrawn",
    EXPIRED: "This request has expired",
}


def check_size(replicas: int) -> None:
    """Raises FieldError for an implausible number of replicas."""
    if not 1 <= replicas <= 10_000:
        raise FieldError("replicas", "Enter 1 to 10,000 replicas.")


def check_hours(hours: int | None, limits: Limits) -> None:
    """Raises FieldError for a duration below an hour or above the class's longest."""
    if hours is None:
        return
    if not 1 <= hours <= LONGEST_HOURS:
        raise FieldError("hours", f"Enter 1 to {LONGEST_HOURS:,} hours.")
    if limits.hours is not None and hours > limits.hours:
        raise FieldError("hours", f"This class is granted for at most {limits.hours} hours. Request less, and extend it later.")


def needs_approval(limits: Limits, granted: int, wanted: int) -> str:
    """Returns why the request needs approval; empty within the limits. `granted`: replicas of the class that the team has."""
    if limits.replicas is None:
        return "Every request for this class is decided by an operator."
    total = granted + wanted
    if total > limits.replicas:
        return f"The team would have {total} replicas of this class; {limits.replicas} need no approval."
    return ""


def ends_at(begins: datetime, hours: int | None, limits: Limits) -> datetime | None:
    """Returns when a request granted now ends; None where neither it nor its class has an end."""
    lasts = hours if hours is not None else limits.hours
    return None if lasts is None else begins + timedelta(hours=lasts)


def warns_at(begins: datetime, ends: datetime) -> datetime:
    """Returns the moment from which it is expiring: a week before the end, or the last fifth of a shorter duration."""
    return ends - min(LONGEST_WARNING, (ends - begins) / 5)
