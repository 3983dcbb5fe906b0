"""One simulated API server without its socket: a request in, an answer out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from fleet.simulator import discovery, errors, pod_pages, tables
from fleet.simulator import resources as kinds
from fleet.simulator.listing import OBJECTS, PARTIAL, TABLE, Body, Lister, ListRequest
from fleet.simulator.messages import Answer, Request
from fleet.simulator.pods import stamp
from fleet.simulator.resources import Kind
from fleet.simulator.store import Record
from fleet.simulator.watching import Watch, whole

if TYPE_CHECKING:
    from fleet.simulator.cluster import ClusterCore

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


@dataclass(frozen=True, slots=True)
class _Target:
    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str
    rest: str


class ApiServer:
    """Answers for one cluster."""

    def __init__(self, cluster: ClusterCore) -> None:
        self.cluster = cluster
        self.lister = Lister(cluster.store, cluster.faults)
        self.stopping = threading.Event()

    def answer(self, request: Request) -> Answer:
        """The answer to a request; refusals are answers too."""
        try:
            return self._answer(request)
        except errors.Refusal as refusal:
            return Answer(refusal.body, refusal.code, refusal.content_type, refusal.headers)

    def _answer(self, request: Request) -> Answer:
        parts = urlsplit(request.target)
        path = unquote(parts.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        if request.method not in (*_VERBS, "OPTIONS"):
            raise errors.method_not_allowed()
        user = self.cluster.access.user(request.headers.get("authorization"))
        target = _parse(path)
        if target is None:
            return self._path(request, user, path)
        return self._resource(request, user, target, params, path)

    def _path(self, request: Request, user: str, path: str) -> Answer:
        """What is no resource: health, version, discovery."""
        if not self.cluster.access.allows_path(user, path):
            raise errors.forbidden_path(user, "get", path)
        discovered = self.cluster.discovery
        absent = self.cluster.faults.absent_groups
        path = path.rstrip("/")
        if path in ("/healthz", "/livez", "/readyz"):
            return Answer(b"ok", content_type=errors.TEXT)
        if path == "/version":
            return Answer(Body.of(self.cluster.version_json()))
        if path in ("/api", "/apis"):
            if "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
                shown = discovered.aggregated(path == "/api", absent)
                return Answer(Body.of(shown), content_type=discovery.AGGREGATED)
            return Answer(Body.of(discovered.api(request.address) if path == "/api" else discovered.groups(absent)))
        names = path.strip("/").split("/")
        if names == ["api", "v1"]:
            return Answer(Body.of(discovered.resources("", "v1")))
        if names[0] == "apis" and len(names) == 2:
            group = discovered.group(names[1], absent)
            if group is not None:
                return Answer(Body.of(group))
        if names[0] == "apis" and len(names) == 3 and names[2] in discovered.versions(absent).get(names[1], []):
            return Answer(Body.of(discovered.resources(names[1], names[2])))
        raise errors.no_such_path()

    def _resource(self, request: Request, user: str, target: _Target, params: dict[str, str], path: str) -> Answer:
        watching = params.get("watch") in ("1", "true")
        verb = _VERBS.get(request.method, "get")
        if not target.name and verb == "get":
            verb = "watch" if watching else "list"
        elif not target.name and verb == "delete":
            verb = "deletecollection"
        resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
        self.cluster.access.audit.add((verb, target.group, resource, target.namespace))
        if not self.cluster.access.allows(user, verb, target.group, resource, target.namespace):
            raise errors.forbidden(user, verb, target.plural, target.group, target.namespace, target.name, target.subresource)
        kind = self._kind(target)
        if verb == "create" and not kind.stored:
            return self._review(kind, user, request)
        if verb not in ("get", "list", "watch"):
            raise errors.method_not_allowed()
        if target.subresource:
            return self._subresource(kind, target, params)
        form = _form(request.headers.get("accept", ""))
        if verb == "get":
            key = f"{target.namespace}/{target.name}" if kind.namespaced else target.name
            record = self.cluster.store.get(kind, key)
            if record is None:
                raise errors.not_found(kind, target.name)
            return Answer(self._one(kind, record, form, params))
        asked = ListRequest(kind, target.namespace, params, form, path)
        if verb == "watch":
            watch = Watch(self.cluster.store, asked, self.cluster.now, self.stopping.is_set)
            return Answer(b"", lines=watch.lines())
        if self.cluster.faults.spend("throttled_json"):
            raise errors.storage_initialising(self.cluster.faults.retry_after)
        return Answer(self.lister.answer(asked, self.cluster.now()))

    def _one(self, kind: Kind, record: Record, form: str, params: dict[str, str]) -> Body | bytes:
        if form == OBJECTS:
            return whole(kind, record) + b"\n"
        if form == PARTIAL:
            return Body.of(tables.partial(msgspec.json.decode(record.raw)))
        metadata = {"resourceVersion": str(record.version)}
        return Body.of(tables.draw(kind, [record], metadata, params.get("includeObject", "Metadata"), self.cluster.now()))

    def _kind(self, target: _Target) -> Kind:
        versions = self.cluster.discovery.versions(self.cluster.faults.absent_groups)
        if target.group and target.group not in versions:
            raise errors.no_such_path()
        kind = self.cluster.discovery.find(target.group, target.version, target.plural)
        if kind is None:
            raise errors.no_such_resource()
        return kind

    def _review(self, kind: Kind, user: str, request: Request) -> Answer:
        if request.headers.get("content-type", errors.JSON).split(";")[0] != errors.JSON:
            raise errors.unsupported_media_type()
        try:
            body = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise errors.bad_request(f"couldn't get version/kind; json parse error: {error}") from None
        now = stamp(self.cluster.now()) or ""
        rights = self.cluster.access
        if kind is kinds.RULES_REVIEWS:
            shown = rights.rules_review(user, body)
        elif kind is kinds.ACCESS_REVIEWS:
            agent = request.headers.get("user-agent", "unknown").split("/")[0]
            shown = rights.access_review(user, body, agent, now)
        else:
            shown = rights.subject_review(user, now)
        return Answer(Body.of(shown), 201)

    def _subresource(self, kind: Kind, target: _Target, params: dict[str, str]) -> Answer:
        if kind is not kinds.PODS or target.subresource != "proxy":
            raise errors.no_such_resource()
        name, _, port = target.name.removeprefix("http:").partition(":")
        if self.cluster.store.get(kind, f"{target.namespace}/{name}") is None:
            raise errors.not_found(kind, name)
        page = pod_pages.answer(self.cluster, f"{target.namespace}/{name}", port or "80", target.rest)
        if page.refused:
            raise errors.unreachable_pod(page.refused)
        return Answer(page.body.encode(), page.code, page.content_type)


def _parse(path: str) -> _Target | None:
    """The resource a path names, or None for discovery and the like."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    plural, *after = parts
    name = after[0] if after else ""
    subresource = after[1] if len(after) > 1 else ""
    if plural == "namespaces":
        namespace = name
    return _Target(group, version, namespace, plural, name, subresource, "/".join(after[2:]))


def _form(accept: str) -> str:
    """The form a client prefers; raises Refusal 406 when it takes no JSON."""
    if not accept:
        return OBJECTS
    for offer in accept.split(","):
        kind, *options = (part.strip() for part in offer.split(";"))
        if kind not in ("application/json", "*/*", "application/*"):
            continue
        wanted = dict(option.partition("=")[::2] for option in options)
        shape = wanted.get("as", "")
        if not shape:
            return OBJECTS
        if wanted.get("v") == "v1" and shape == "Table":
            return TABLE
        if wanted.get("v") == "v1" and shape in ("PartialObjectMetadataList", "PartialObjectMetadata"):
            return PARTIAL
    raise errors.not_acceptable()
