"""Missing read permissions of Muster's account, their effect, and write permissions that Muster does not need.

The API server is asked for the account's rules (SelfSubjectRulesReview); where it says that its own answer may lack
some, as servers with an authorising webhook do, each right that seems to be missing is asked for by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fleet.collectors.apis import Apis
from fleet.collectors.errors import NOT_JSON, Asked, Failure
from fleet.collectors.needed_permissions import NEEDS, REVIEWED, Need
from fleet.collectors.session import Session
from fleet.domain.snapshot import MissingPermission, Permissions
from fleet.domain.snapshot.sections import Outcome

_RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AUTHORIZATION = "authorization.k8s.io"
EVERYWHERE = "muster-cluster-wide"
"""A namespace without roles: rules that apply there apply in every namespace."""


_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate", "*"})
# Self-reviews are created, but change nothing; every account may create them.
_SELF_REVIEWS = frozenset(
    {
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "selfsubjectreviews.authentication.k8s.io",
    }
)


class Rule(msgspec.Struct, rename="camel", gc=False):
    verbs: list[str] | None = None
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None


class _RulesStatus(msgspec.Struct, rename="camel", gc=False):
    resource_rules: list[Rule] | None = None
    incomplete: bool | None = None
    evaluation_error: str | None = None


class _RulesReview(msgspec.Struct, gc=False):
    status: _RulesStatus | None = None


class _AccessStatus(msgspec.Struct, gc=False):
    allowed: bool | None = None


class _AccessReview(msgspec.Struct, gc=False):
    status: _AccessStatus | None = None


class Rules(msgspec.Struct, frozen=True):
    """The account's rules in one namespace, cluster-wide ones included."""

    namespace: str
    rules: tuple[Rule, ...] = ()
    incomplete: bool = False


def fetch(session: Session, apis: Apis, config_maps: Mapping[str, frozenset[str]]) -> Permissions:
    """Review the account's rules everywhere, in REVIEWED and in the stack's namespaces. Raises Failure.

    `config_maps` holds the stack's namespaces, each with the names of the ConfigMaps that Muster reads there.
    """
    everywhere = _review(session, EVERYWHERE)
    namespaced = [_review(session, namespace) for namespace in sorted({REVIEWED, *config_maps})]
    permissions = parse(everywhere, namespaced, apis, config_maps)
    if not permissions.incomplete:
        return permissions
    missing = tuple(right for right in permissions.missing if not _is_allowed(session, right))
    return msgspec.structs.replace(permissions, missing=missing)


def _review(session: Session, namespace: str) -> Rules:
    asked = Asked(verb="create", resource="selfsubjectrulesreviews", group=_AUTHORIZATION)
    body = {
        "apiVersion": f"{_AUTHORIZATION}/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    return parse_rules(namespace, session.post(_RULES, asked, body).body)


def parse_rules(namespace: str, body: bytes | bytearray) -> Rules:
    """Raises Failure (malformed) for anything without rules: it must not look like "nothing is missing"."""
    try:
        status = msgspec.json.decode(body, type=_RulesReview).status
    except NOT_JSON:
        status = None
    if status is None:
        raise Failure(Outcome.MALFORMED, "The answer to Muster's SelfSubjectRulesReview contains no rules.")
    incomplete = bool(status.incomplete or status.evaluation_error)
    return Rules(namespace, tuple(status.resource_rules or ()), incomplete)


def parse(everywhere: Rules, namespaced: Sequence[Rules], apis: Apis, config_maps: Mapping[str, frozenset[str]]) -> Permissions:
    """Returns missing and unneeded permissions. ConfigMaps are needed only in namespaces where Muster reads one.

    A rule that a review of one namespace has and the review of no namespace in particular has not holds in that one only.
    """
    by_namespace = {place.namespace: place for place in namespaced}
    missing = []
    for need in NEEDS:
        if need.optional and apis.serves(need.group) is False:
            continue
        wanted = [name for name in by_namespace if config_maps.get(name)] if need.in_namespace else [need.namespace]
        for namespace in wanted:
            names = config_maps[namespace] if need.in_namespace else frozenset()
            place = by_namespace.get(namespace, everywhere)
            if not _allows(place.rules, need, names):
                missing.append(_missing(need, namespace))
    reviewed = (everywhere, *namespaced)
    anywhere = {write for rule in everywhere.rules for write in _writes(rule)}
    local = {
        f"{write} in namespace {place.namespace}"
        for place in namespaced
        for rule in place.rules
        for write in _writes(rule)
        if write not in anywhere
    }
    return Permissions(
        missing=tuple(missing),
        writes=(*sorted(anywhere), *sorted(local)),
        reviewed=tuple(by_namespace),
        incomplete=any(place.incomplete for place in reviewed),
    )


def _missing(need: Need, namespace: str) -> MissingPermission:
    return MissingPermission(verb=need.verb, group=need.group, resource=need.resource, namespace=namespace, hides=need.hides)


def with_forbidden(permissions: Permissions, asked: Iterable[Asked]) -> Permissions:
    """Returns the permissions with what requests were refused for, where the rules did not say that it is missing."""
    missing = list(permissions.missing)
    known = {(right.verb, right.group, right.resource) for right in missing}
    for request in asked:
        key = (request.verb, request.group, request.resource)
        need = next((need for need in NEEDS if (need.verb, need.group, need.resource) == key), None)
        if need is not None and key not in known:
            known.add(key)
            missing.append(_missing(need, request.namespace if need.in_namespace else need.namespace))
    return msgspec.structs.replace(permissions, missing=tuple(missing))


def _allows(rules: Iterable[Rule], need: Need, names: frozenset[str]) -> bool:
    """Whether the rules together allow it; rules bound to names count only where they contain every name that is read."""
    named: set[str] = set()
    for rule in rules:
        if (
            _holds(rule.verbs, need.verb)
            and _holds(rule.api_groups, need.group)
            and _holds_resource(rule.resources, need.resource)
        ):
            if not rule.resource_names:
                return True
            named.update(rule.resource_names)
    return bool(names) and names <= named


def _holds(values: Sequence[str] | None, wanted: str) -> bool:
    return bool(values) and ("*" in (values or ()) or wanted in (values or ()))


def _holds_resource(resources: Sequence[str] | None, wanted: str) -> bool:
    """RBAC's own matching: `*` is all, `*/proxy` that subresource of every resource."""
    if not resources:
        return False
    _, slash, subresource = wanted.partition("/")
    return "*" in resources or wanted in resources or bool(slash and f"*/{subresource}" in resources)


def _writes(rule: Rule) -> Iterable[str]:
    """`create pods`, `update deployments.apps`; `*` stands as it is written."""
    bound = f" ({', '.join(rule.resource_names)} only)" if rule.resource_names else ""
    for verb in rule.verbs or ():
        if verb not in _WRITES:
            continue
        for group in rule.api_groups or ():
            for resource in rule.resources or ():
                result = f"{resource}.{group}" if group else resource
                if result not in _SELF_REVIEWS:
                    yield f"{verb} {result}{bound}"


def _is_allowed(session: Session, right: MissingPermission) -> bool:
    """The server's answer to one precise question; "no" where it gives none."""
    resource, _, subresource = right.resource.partition("/")
    attributes: dict[str, Any] = {"verb": right.verb, "group": right.group, "resource": resource}
    if subresource:
        attributes["subresource"] = subresource
    if right.namespace:
        attributes["namespace"] = right.namespace
    asked = Asked(verb="create", resource="selfsubjectaccessreviews", group=_AUTHORIZATION)
    body = {
        "apiVersion": f"{_AUTHORIZATION}/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        status = msgspec.json.decode(session.post(_ACCESS, asked, body).body, type=_AccessReview).status
    except (Failure, *NOT_JSON):
        return False
    return bool(status and status.allowed)
