"""Access requests: which a user may see, and what an approver needs to know about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import nullcontext
from datetime import datetime

from django.db.models import Case, Count, DateTimeField, F, Max, Q, QuerySet, Sum, When
from django.http import QueryDict

from fleet.domain.access_requests.workflow import GRANTED, OVER, Limits
from fleet.domain.classes.workload import ClassSpec, sized
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import Document, Kind
from fleet.filters import RequestFilters
from fleet.models import AccessRequest, ClassVersion, Role, Team, User, scope
from fleet.selectors import classes
from fleet.selectors.declarations import spec_of
from fleet.selectors.facets import Facet, facets

WAITS = Q(state="submitted") | Q(state__in=sorted(GRANTED)) & (
    Q(extension_until__isnull=False) | Q(wanted_replicas__isnull=False)
)
"""Requests that wait for a decision of an operator: the whole request, or a change of it."""
_SELECTED = ("team", "class_version__workload_class", "requested_by", "decided_by")


def visible_to(user: User) -> QuerySet[AccessRequest]:
    """Returns the requests a user may see: all for operators, those of their own teams for others."""
    rows = AccessRequest.objects.select_related(*_SELECTED).prefetch_related("steps__actor")
    return rows if user.may(Role.OPERATOR) else rows.filter(team__members__user=user)


def teams_of(user: User) -> QuerySet[Team]:
    """Teams for which the user may request: operators for any, others for their own."""
    teams = Team.objects.prefetch_related("members__user")
    return teams if user.may(Role.OPERATOR) else teams.filter(members__user=user)


def waiting(user: User) -> int:
    """Returns the number of requests that wait for an operator's decision; 0 for other roles."""
    if not user.may(Role.OPERATOR):
        return 0
    return AccessRequest.objects.filter(WAITS).count()


def requested_spec(row: AccessRequest) -> ClassSpec:
    """Returns the class spec of the requested version, in the requested size."""
    class_spec = spec_of(row.class_version)
    return class_spec if row.gpus is None else sized(class_spec, row.gpus)


def limits_of(version: ClassVersion, team: Team) -> Limits:
    """Limits within which the team gets this version of a class without approval."""
    class_spec = spec_of(version)
    replicas = team.max_replicas if class_spec.max_replicas is None else class_spec.max_replicas
    return Limits(replicas=replicas, hours=class_spec.max_hours)


def granted_replicas(team: Team, version: ClassVersion) -> int:
    """Replicas of the class, in any version, that the team may use now."""
    granted = AccessRequest.objects.filter(team=team, class_version__workload_class=version.workload_class_id, state__in=GRANTED)
    # In all namespaces of the team, or a limit to one would give more than the team may have.
    with scope.unscoped() if scope.hides_pods() else nullcontext():
        return granted.aggregate(total=Sum("replicas"))["total"] or 0


def get_request(user: User, pk: int) -> AccessRequest | None:
    """One of those the user may see, with its steps."""
    return visible_to(user).filter(pk=pk).first()


def get_team(user: User, slug: str) -> Team | None:
    """One of the teams the user may ask for, with its members."""
    return teams_of(user).filter(slug=slug).first()


def get_user(username: str) -> User | None:
    """An account that may sign in."""
    return User.objects.filter(username=username, is_active=True).first()


SHORT = Q(state__in=sorted(GRANTED)) & (Q(latest_check__fits=False) | Q(latest_check__reasons__0__isnull=False))
"""Returns granted requests whose newest check has a problem."""
WAYS: dict[str, Q] = {
    "current": ~Q(state__in=sorted(OVER)),
    "waiting": WAITS,
    "short": SHORT,
    "over": Q(state__in=sorted(OVER)),
    "all": Q(),
}
"""Ways to filter the list of requests."""


def way_counts(rows: QuerySet[AccessRequest]) -> dict[str, int]:
    """Number of requests for each way. One query."""
    counted: dict[str, int] = rows.order_by().aggregate(
        **{way: Count("pk", filter=cut or Q(pk__gt=0)) for way, cut in WAYS.items()}
    )
    return counted


def request_facets(names: Collection[str], params: QueryDict, rows: QuerySet[AccessRequest]) -> list[Facet]:
    """Facets of the list under its filters, over the rows that may be seen."""
    return facets(RequestFilters, list(names), params, rows)


def queue() -> QuerySet[AccessRequest]:
    """Requests that wait for an operator, the longest first; `waiting_since` is when it was requested."""
    asked = Max("steps__at", filter=Q(steps__kind__in=("extend", "resize")))
    since = Case(When(state="submitted", then=F("submitted_at")), default=asked, output_field=DateTimeField())
    rows = AccessRequest.objects.filter(WAITS).select_related(*_SELECTED).prefetch_related("steps__actor", "team__members__user")
    return rows.annotate(waiting_since=since).order_by("waiting_since", "pk")


def granted_of(teams: Collection[int]) -> dict[int, list[AccessRequest]]:
    """Team id → its granted requests, newest first. One query."""
    result: dict[int, list[AccessRequest]] = {pk: [] for pk in teams}
    for row in AccessRequest.objects.filter(team__in=teams, state__in=GRANTED).select_related("class_version__workload_class"):
        result[row.team_id].append(row)
    return result


def parameters_of(row: AccessRequest) -> Parameters:
    """Returns the request's parameters for a manifest; without an image, the example's image."""
    return Parameters(
        name=row.name,
        namespace=row.namespace,
        replicas=row.replicas,
        image=row.image or Parameters().image,
        class_version=row.class_version.number,
    )


def kinds_of(row: AccessRequest, now: datetime) -> tuple[Kind, ...]:
    """The kinds of manifest it can have; none unless it is granted, and none where its pools were removed."""
    return classes.kinds(requested_spec(row), now) if row.state in GRANTED else ()


def manifest_of(row: AccessRequest, kind: str, now: datetime) -> list[Document]:
    """Its manifest, under the version of the class it was granted. Raises FieldError."""
    return classes.manifest_of(requested_spec(row), kind, parameters_of(row), now, request=row.pk)


def newest_number(row: AccessRequest) -> int | None:
    """The number of the class's newest version; None once it has left the catalogue."""
    versions = ClassVersion.objects.filter(
        workload_class=row.class_version.workload_class_id, workload_class__removed_at__isnull=True
    )
    version: int | None = versions.aggregate(newest=Max("number"))["newest"]
    return version


def checked_total(rows: Iterable[AccessRequest], figure: str) -> int | None:
    """Returns the sum of a figure of the newest checks of requests; None where one was not checked yet."""
    figures = [row.latest_check.get(figure) for row in rows]
    return None if None in figures else sum(figures)
