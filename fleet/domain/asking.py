"""Requests for a workload class: which step may follow which state, who may take it, and what needs nobody's approval.

draft → submitted → approved → active → expiring → expired, with rejected and withdrawn as ways out. Pure: rows and moments are
the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.parameters import problems as refused_names

DRAFT, SUBMITTED, APPROVED, ACTIVE, EXPIRING = "draft", "submitted", "approved", "active", "expiring"
REJECTED, WITHDRAWN, EXPIRED = "rejected", "withdrawn", "expired"
GRANTED = frozenset({APPROVED, ACTIVE, EXPIRING})
"""States in which the team may use what it asked for."""
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
"""Steps a member of the team may take; the others are an operator's, or time's."""

LONGEST_WARNING = timedelta(days=7)
LONGEST_HOURS = 10 * 366 * 24


class NotNow(Exception):  # noqa: N818 the caller answers 409: it is a state, not an error
    """The request is in a state from which this step cannot be taken; the text is for people."""


class NotYours(Exception):  # noqa: N818 the caller answers 403
    """This person may not take this step; the text is for people."""


class FieldError(ValueError):
    """A field cannot be as it is. `field` is its name, the text is for people; `fields` has every one that is wrong."""

    def __init__(self, field: str, sentence: str, *more: tuple[str, str]) -> None:
        self.field = field
        self.fields: tuple[tuple[str, str], ...] = ((field, sentence), *more)
        super().__init__(sentence)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a team may have of a class without asking, and for how long."""

    replicas: int | None = None
    """Replicas in all, over every granted request of the team; None: everything needs approval."""
    hours: int | None = None
    """Longest duration; None: no end."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a team writes into a request."""

    namespace: str
    name: str
    replicas: int
    image: str = ""
    """Empty: not known yet."""
    hours: int | None = None
    """None: as long as the class allows."""
    gpus: int | None = None
    """Slots per replica, where the class lets one choose; None: as many as the class says."""


def problems(ask: Ask, limits: Limits, team: str, namespaces: Sequence[str], sizes: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """What is wrong with an ask, as field and sentence, in the order of the form; empty where nothing is.

    `namespaces` are the team's own, `sizes` what the class lets one choose. Names and image are judged as in a manifest: what is
    granted must be something Kubernetes takes.
    """
    found = [_trouble(lambda: check_gpus(ask.gpus, sizes)), _trouble(lambda: check_size(ask.replicas))]
    found.append(_trouble(lambda: check_place(ask.namespace, team, namespaces)))
    example = Parameters()
    told = Parameters(name=ask.name, namespace=ask.namespace or example.namespace, image=ask.image or example.image)
    found += [one for one in refused_names(told) if one[0] in ("name", "image")]
    found.append(_trouble(lambda: check_hours(ask.hours, limits)))
    return tuple(one for one in found if one is not None)


def _trouble(check: Callable[[], None]) -> tuple[str, str] | None:
    try:
        check()
    except FieldError as error:
        return error.field, str(error)
    return None


def check_ask(ask: Ask, limits: Limits, team: str, namespaces: Sequence[str], sizes: Sequence[int]) -> None:
    """Raises FieldError, with every field that is wrong in it."""
    if found := problems(ask, limits, team, namespaces, sizes):
        raise FieldError(*found[0], *found[1:])


def check_place(namespace: str, team: str, namespaces: Sequence[str]) -> None:
    """Raises FieldError for a namespace that is not the team's."""
    if namespace not in namespaces:
        has = ", ".join(namespaces) or "none yet"
        said = f"{namespace} is no namespace of {team}." if namespace else f"Choose a namespace of {team}."
        raise FieldError("namespace", f"{said} It has {has}.")


def check_gpus(gpus: int | None, sizes: Sequence[int]) -> None:
    """Raises FieldError for a number of slots per replica that the class does not have."""
    if gpus is not None and gpus not in sizes:
        raise FieldError("gpus", f"This class has {', '.join(map(str, sizes))} slots per replica.")


def check_step(step: str, state: str) -> None:
    """Raises NotNow where `step` cannot be taken from `state`."""
    if state not in STEPS[step]:
        raise NotNow(f"{_SENTENCES[state]} So nobody can {_WORDS[step]} it now.")


_WORDS = {
    "edit": "edit",
    "submit": "submit",
    "approve": "approve",
    "reject": "reject",
    "withdraw": "withdraw",
    "extend": "extend",
    "resize": "change the size of",
    "decide_change": "decide a change of",
    "activate": "activate",
    "warn": "warn about",
    "expire": "let expire",
    "comment": "comment on",
}
_SENTENCES = {
    DRAFT: "This request is still a draft.",
    SUBMITTED: "This request waits for a decision.",
    APPROVED: "This request is approved already.",
    ACTIVE: "This request is approved and in use.",
    EXPIRING: "This request is approved and about to expire.",
    REJECTED: "This request was rejected.",
    WITHDRAWN: "This request was withdrawn.",
    EXPIRED: "This request has expired.",
}


def check_size(replicas: int) -> None:
    """Raises FieldError for a number of replicas that nobody can mean."""
    if not 1 <= replicas <= 10_000:
        raise FieldError("replicas", "Ask for 1 to 10,000 replicas.")


def check_hours(hours: int | None, limits: Limits) -> None:
    """Raises FieldError for a duration below an hour or above the class's longest."""
    if hours is None:
        return
    if not 1 <= hours <= LONGEST_HOURS:
        raise FieldError("hours", f"Ask for 1 to {LONGEST_HOURS:,} hours.")
    if limits.hours is not None and hours > limits.hours:
        raise FieldError("hours", f"This class is granted for at most {limits.hours} hours. Ask for less, and extend it later.")


def needs_approval(limits: Limits, granted: int, wanted: int) -> str:
    """Why somebody has to decide; empty where it lies within the limits. `granted`: replicas of the class the team has."""
    if limits.replicas is None:
        return "Every request for this class is decided by an operator."
    total = granted + wanted
    if total > limits.replicas:
        return f"The team would have {total} replicas of this class; {limits.replicas} need no approval."
    return ""


def ends_at(begins: datetime, hours: int | None, limits: Limits) -> datetime | None:
    """When a request granted now ends; None where neither it nor its class has an end."""
    lasts = hours if hours is not None else limits.hours
    return None if lasts is None else begins + timedelta(hours=lasts)


def warns_at(begins: datetime, ends: datetime) -> datetime:
    """From when it is expiring: a week before the end, or the last fifth of a shorter one."""
    return ends - min(LONGEST_WARNING, (ends - begins) / 5)
