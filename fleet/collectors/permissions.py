"""What Muster's account may not read, what that hides, and what it may write although Muster never writes.

The API server is asked for the account's rules (SelfSubjectRulesReview); where it says that its own answer may lack
some, as servers with an authorising webhook do, each right that seems to be missing is asked for by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fleet.collectors.apis import Apis
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.session import Session
from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import MissingPermission, Permissions

_RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AUTHORIZATION = "authorization.k8s.io"
REVIEWED = "default"
"""The namespace whose rules stand for the cluster-wide ones; it is also where Events about nodes are kept."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One right that Muster uses. `hides` is what stays unknown without it."""

    verb: str
    group: str
    resource: str
    hides: str
    in_namespace: bool = False
    """Needed in the stack's namespaces only, not everywhere."""
    namespace: str = ""
    """The one namespace it is needed in: REVIEWED or none, for that is where the account's rules are asked for."""
    optional: bool = False
    """Of no use where the API group is not installed."""


NEEDS: tuple[Need, ...] = (
    Need(verb="list", group="", resource="nodes", hides="everything: no node, no GPU, no capacity is known"),
    Need(verb="list", group="", resource="pods", hides="requested and free slots, who holds them, and the stack's pods"),
    Need(
        verb="get",
        group="",
        resource="pods/proxy",
        hides="load, memory and health of GPUs, and what model servers serve, where MUSTER_TELEMETRY is pod-proxy",
    ),
    Need(verb="list", group="apps", resource="daemonsets", hides="whether the GPU stack's DaemonSets are ready"),
    Need(
        verb="list",
        group="nvidia.com",
        resource="clusterpolicies",
        hides="how the GPU Operator is configured, and its own state",
        optional=True,
    ),
    Need(
        verb="list",
        group="nvidia.com",
        resource="nvidiadrivers",
        hides="drivers managed by NVIDIADriver objects",
        optional=True,
    ),
    Need(
        verb="get",
        group="",
        resource="configmaps",
        hides="which sharing the device plugin was told to use",
        in_namespace=True,
    ),
    Need(
        verb="list",
        group="resource.k8s.io",
        resource="resourceslices",
        hides="devices published through DRA, with their identities",
        optional=True,
    ),
    Need(
        verb="list",
        group="resource.k8s.io",
        resource="resourceclaims",
        hides="which DRA devices are held, and by whom",
        optional=True,
    ),
    Need(
        verb="list",
        group="",
        resource="events",
        namespace=REVIEWED,
        hides="Xids and warnings that outside monitors tell in Events only",
    ),
)

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate", "*"})
# Asking about oneself is created, but changes nothing; every account may do it.
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
    """Review the account's rules in REVIEWED and in the stack's namespaces. Raises Failure.

    `config_maps` holds the stack's namespaces, each with the names of the ConfigMaps that Muster reads there.
    """
    everywhere = _review(session, REVIEWED)
    stack = [_review(session, namespace) for namespace in sorted(config_maps)]
    permissions = parse(everywhere, stack, apis, config_maps)
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
    """Raises Failure (malformed) for anything that holds no rules: silence must not look like "nothing is missing"."""
    try:
        status = msgspec.json.decode(body, type=_RulesReview).status
    except msgspec.MsgspecError:
        status = None
    if status is None:
        raise Failure(Outcome.MALFORMED, "The answer to Muster's question for its own rights holds no rules.")
    incomplete = bool(status.incomplete or status.evaluation_error)
    return Rules(namespace, tuple(status.resource_rules or ()), incomplete)


def parse(everywhere: Rules, stack: Sequence[Rules], apis: Apis, config_maps: Mapping[str, frozenset[str]]) -> Permissions:
    """What is missing and what is too much. ConfigMaps are needed only in namespaces where Muster reads one."""
    missing = []
    for need in NEEDS:
        if need.optional and apis.serves(need.group) is False:
            continue
        places = [p for p in stack if config_maps.get(p.namespace)] if need.in_namespace else [everywhere]
        for place in places:
            names = config_maps[place.namespace] if need.in_namespace else frozenset()
            if not _allows(place.rules, need, names):
                missing.append(
                    MissingPermission(
                        verb=need.verb,
                        group=need.group,
                        resource=need.resource,
                        namespace=place.namespace if need.in_namespace else need.namespace,
                        hides=need.hides,
                    )
                )
    reviewed = (everywhere, *stack)
    writes = {told for place in reviewed for rule in place.rules for told in _writes(rule)}
    return Permissions(
        missing=tuple(missing),
        writes=tuple(sorted(writes)),
        incomplete=any(place.incomplete for place in reviewed),
    )


def _allows(rules: Iterable[Rule], need: Need, names: frozenset[str]) -> bool:
    """Whether the rules together allow it; rules bound to names count only where they hold every name that is read."""
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
                told = f"{resource}.{group}" if group else resource
                if told not in _SELF_REVIEWS:
                    yield f"{verb} {told}{bound}"


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
    except (Failure, msgspec.MsgspecError):
        return False
    return bool(status and status.allowed)


def rbac_rule(right: MissingPermission) -> dict[str, list[str]]:
    """The rule to add to Muster's role for a missing right, as RBAC writes it."""
    return {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}
