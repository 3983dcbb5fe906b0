"""Search over everything that has a page: a bounded number of hits of each kind, the most urgent first.

Every text is matched as a whole or by its parts, never as a pattern. The number of queries does not depend on the question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.urls import reverse

from fleet.domain.catalog import xids as catalog
from fleet.domain.evaluation import registry
from fleet.filters import NodeFilters
from fleet.models import (
    AccessRequest,
    Cluster,
    FindingRow,
    Gpu,
    Node,
    Pod,
    Pool,
    PoolMembership,
    Team,
    User,
    WorkloadClass,
    scope,
)
from fleet.models.joined import joined
from fleet.selectors.access_requests import access_requests
from fleet.selectors.incidents import incidents
from fleet.selectors.nodes.nodes import VERDICT_SEVERITY, nodes
from fleet.selectors.search.questions import KINDS, SHORTEST, Group, Hit, Question


def search(question: Question, user: User, now: datetime, *, kind: str = "", limit: int = 3) -> list[Group]:
    """Returns the groups that have hits, in the order of KINDS; at most two queries for each kind."""
    if not question.words:
        return []
    wanted = question.kind or kind
    groups = [_SEARCHES[name](question, user, now, limit) for name in KINDS if wanted in ("", name)]
    return [group for group in groups if group.total]


def _all(question: Question, *fields: str) -> Q:
    """Every word in one of the fields, whatever its case."""
    query = Q()
    for word in question.words:
        of_word = Q()
        for name in fields:
            of_word |= Q(**{f"{name}__icontains": word})
        query &= of_word
    return query


Row = TypeVar("Row", bound=Model)


def _group(kind: str, rows: QuerySet[Row], limit: int, hit: Callable[[Row], Hit]) -> Group:
    """One query, and one to count where there are more than are shown."""
    first = list(rows[: limit + 1])
    total = len(first) if len(first) <= limit else rows.order_by().count()
    return Group(kind, tuple(hit(row) for row in first[:limit]), total)


def _nothing(kind: str) -> Group:
    return Group(kind, (), 0)


def _incidents(question: Question, user: User, now: datetime, limit: int) -> Group:
    if question.is_short:
        return _nothing("incident")
    members = FindingRow.objects.filter(incident=OuterRef("pk"), period__endswith__isnull=True)
    in_pool = PoolMembership.objects.filter(node=OuterRef("node"), period__endswith__isnull=True)
    for word in question.words:
        members = members.filter(
            Q(text__icontains=word)
            | Q(key__icontains=word)
            | Q(rule__icontains=word)
            | Q(node__name__icontains=word)
            | Q(node__product__icontains=word)
            | Q(cluster__name__icontains=word)
            | Q(Exists(in_pool.filter(pool__slug__icontains=word)))
        )
    rows = incidents.ordered(incidents.incidents().filter(Exists(members)))
    return _group("incident", rows, limit, _incident)


def _incident(row: FindingRow) -> Hit:
    place = " / ".join(part.name for part in (row.cluster, row.node) if part) or row.key
    severity = str(getattr(row, "worst_severity", row.severity))
    title = row.text.strip().rstrip(".")
    return Hit("incident", title, place, reverse("incident", args=(row.pk,)), str(row.pk), severity=severity)


def _nodes(question: Question, user: User, now: datetime, limit: int) -> Group:
    if question.is_short:
        return _nothing("node")
    filters = NodeFilters({"q": question.text}, queryset=nodes())
    if not filters.is_valid():
        return _nothing("node")
    return _group("node", filters.qs.order_by(VERDICT_SEVERITY, "name"), limit, _node)


def _node(row: Node) -> Hit:
    what = " · ".join(part for part in (row.cluster.name, row.product, row.mode) if part)
    return Hit("node", row.name, what, _node_url(row.cluster.name, row.name), str(row.pk), verdict=row.verdict)


def _node_url(cluster: str, name: str) -> str:
    return reverse("node", args=(cluster, name))


def _pools(question: Question, user: User, now: datetime, limit: int) -> Group:
    rows = Pool.objects.filter(_all(question, "slug", "title", "purpose", "owner"), removed_at__isnull=True).order_by("slug")
    return _group(
        "pool",
        rows,
        limit,
        lambda row: Hit("pool", row.slug, row.title or row.purpose, reverse("pool", args=(row.slug,)), row.slug),
    )


def _classes(question: Question, user: User, now: datetime, limit: int) -> Group:
    rows = WorkloadClass.objects.filter(_all(question, "slug", "title"), removed_at__isnull=True).order_by("slug")
    return _group(
        "class", rows, limit, lambda row: Hit("class", row.title, row.slug, reverse("class", args=(row.slug,)), row.slug)
    )


def _requests(question: Question, user: User, now: datetime, limit: int) -> Group:
    number = question.text.lstrip("#")
    query = _all(
        question, "name", "namespace", "team__slug", "class_version__workload_class__title", "class_version__workload_class__slug"
    )
    if number.isascii() and number.isdecimal() and len(number) <= 9:
        query |= Q(pk=int(number))
    rows = access_requests.visible_to(user).filter(query).prefetch_related(None).annotate(waits=Q(state="submitted"))
    return _group("request", rows.order_by(F("waits").desc(), "-pk").distinct(), limit, _request)


def _request(row: AccessRequest) -> Hit:
    title = f"#{row.pk} {row.name}: {row.replicas} × {row.class_version.workload_class.title}"
    return Hit(
        "request", title, f"{row.team.slug} · {row.state.replace('_', ' ')}", reverse("request", args=(row.pk,)), str(row.pk)
    )


def _teams(question: Question, user: User, now: datetime, limit: int) -> Group:
    rows = Team.objects.annotate(spaces=Cast("namespaces", TextField())).filter(_all(question, "slug", "name", "spaces"))
    return _group("team", rows.order_by("slug"), limit, _team)


def _team(row: Team) -> Hit:
    return Hit("team", row.name, ", ".join(row.namespaces[:3]), reverse("team", args=(row.slug,)), row.slug)


def _clusters(question: Question, user: User, now: datetime, limit: int) -> Group:
    rows = Cluster.objects.filter(_all(question, "name", "platform", "server"), removed_at__isnull=True).order_by("name")
    return _group("cluster", rows, limit, _cluster)


def _cluster(row: Cluster) -> Hit:
    subtitle = f"{row.platform} {row.server_version}".strip()
    return Hit("cluster", row.name, subtitle, reverse("cluster", args=(row.name,)), row.name)


def _gpus(question: Question, user: User, now: datetime, limit: int) -> Group:
    if question.is_short:
        return _nothing("gpu")
    alive = joined(
        Gpu.objects.filter(node__removed_at__isnull=True, node__cluster__removed_at__isnull=True), "node", "node__cluster"
    )
    rows = alive.filter(_all(question, "uuid", "pci_bus_id")).annotate(verdict=F("node__verdict"))
    return _group("gpu", rows.order_by("node__name", "position"), limit, _gpu)


def _gpu(row: Gpu) -> Hit:
    title = row.uuid or row.pci_bus_id
    subtitle = f"{row.product or row.node.product} · GPU {row.position} of {row.node.name}"
    return Hit("gpu", title, subtitle, _node_url(row.node.cluster.name, row.node.name), str(row.pk), verdict=row.node.verdict)


def _pods(question: Question, user: User, now: datetime, limit: int) -> Group:
    if question.is_short:
        return _nothing("pod")
    alive = Pod.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True, component="")
    rows = joined(alive.filter(_all(question, "name", "namespace")), "node", "cluster").order_by("namespace", "name", "pk")
    return _group("pod", rows.defer("snapshot", "requests"), limit, _pod)


def _pod(row: Pod) -> Hit:
    where = row.node.name if row.node else "not on a GPU node"
    pod = f"{row.cluster.name}/{row.namespace}/{row.name}"
    waits = f"{reverse('explain')}?{urlencode({'pod': pod})}"
    if scope.hides_pods():  # without access to explanations
        waits = reverse("cluster", args=(row.cluster.name,))
    url = _node_url(row.cluster.name, row.node.name) if row.node else waits
    return Hit(
        "pod", f"{row.namespace}/{row.name}", f"{row.reason or row.phase} · {row.cluster.name} / {where}", url, str(row.pk)
    )


def _xids(question: Question, user: User, now: datetime, limit: int) -> Group:
    words = [word.lower() for word in question.words if word.lower() != "xid"]
    rows = [code for code in catalog.by_code() if words and all(_in_xid(word, code) for word in words)]
    exact = [code for code in rows if str(code) in words]
    ordered = [*exact, *(code for code in rows if code not in exact)]
    return Group("xid", tuple(_xid(code) for code in ordered[:limit]), len(ordered))


def _xid(code: int) -> Hit:
    known = catalog.meaning(code)
    return Hit("xid", f"Xid {code}: {known.name}", known.severity.value.capitalize(), reverse("xid", args=(code,)), str(code))


def _in_xid(word: str, code: int) -> bool:
    return str(code).startswith(word) or (len(word) >= SHORTEST and word in catalog.meaning(code).name.lower())


def _rules(question: Question, user: User, now: datetime, limit: int) -> Group:
    if question.is_short:
        return _nothing("rule")
    titles = {name: registry.title(name) for name in (*registry.NODE_RULES, *registry.CLUSTER_RULES)}
    hits = [
        Hit("rule", title, name, f"{reverse('findings')}?{urlencode({'rule': name})}", name)
        for name, title in sorted(titles.items(), key=lambda pair: pair[1])
        if all(word.lower() in f"{name} {title}".lower() for word in question.words)
    ]
    return Group("rule", tuple(hits[:limit]), len(hits))


_SEARCHES: dict[str, Callable[[Question, User, datetime, int], Group]] = {
    "incident": _incidents,
    "node": _nodes,
    "pool": _pools,
    "class": _classes,
    "request": _requests,
    "team": _teams,
    "cluster": _clusters,
    "gpu": _gpus,
    "pod": _pods,
    "xid": _xids,
    "rule": _rules,
}


def hits_of(groups: Iterable[Group]) -> list[Hit]:
    """Returns the hits of all groups, in order."""
    return [hit for group in groups for hit in group.hits]


def single(groups: Sequence[Group]) -> Hit | None:
    """Returns the hit where there is exactly one."""
    return groups[0].hits[0] if len(groups) == 1 and groups[0].total == 1 and groups[0].hits else None
