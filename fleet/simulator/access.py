"""Access control: bearer tokens, the reader's rules, and the three self-reviews."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from fleet.simulator import errors, managed
from fleet.simulator.faults import Faults
from fleet.simulator.resources import QUEUEING
from fleet.simulator.seeds import Seed

READER = "muster"
NARROW = "narrow"
"""Reads nodes and pods, nothing else."""
WITHOUT_RIGHTS = "nobody"
ANONYMOUS = "system:anonymous"

_READ = ("get", "list", "watch")
_PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_OPEN_PATHS = (
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role."""

    verbs: tuple[str, ...]
    group: str
    resources: tuple[str, ...]
    namespace: str = ""
    """Where the rule holds; everywhere when empty."""
    reader_only: bool = True


def rules_for(operator_namespace: str) -> tuple[Rule, ...]:
    """What the read-only account may do; ConfigMaps only where the device plugin's configuration lives."""
    rules = [
        Rule(_READ, "", ("nodes", "pods", "namespaces", "events")),
        Rule(_READ, "apps", ("daemonsets",)),
        Rule(_READ, "nvidia.com", ("clusterpolicies", "nvidiadrivers", "gpuclusters")),
        Rule(_READ, "resource.k8s.io", ("resourceslices", "resourceclaims", "deviceclasses", "devicetaintrules")),
        Rule(_READ, "kueue.x-k8s.io", tuple(kind.plural for kind in QUEUEING)),
        Rule(_READ, "readiness.node.x-k8s.io", ("nodereadinessrules",)),
        Rule(_READ, "", ("persistentvolumeclaims", "persistentvolumes")),
        Rule(_READ, "storage.k8s.io", ("storageclasses", "csinodes", "csidrivers")),
        Rule(_READ, "node.k8s.io", ("runtimeclasses",)),
        Rule(_READ, "scheduling.k8s.io", ("priorityclasses",)),
        Rule(("get",), "", ("pods/proxy",)),
        Rule(("create",), "authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), "", False),
        Rule(("create",), "authentication.k8s.io", ("selfsubjectreviews",), "", False),
    ]
    if operator_namespace:
        rules.append(Rule(_READ, "", ("configmaps",), operator_namespace))
    return tuple(rules)


class Access:
    """The tokens and rights of one cluster."""

    def __init__(self, seed: Seed, operator_namespace: str, faults: Faults) -> None:
        self.reader_token = f"simulated-{seed.hex(32, 'token', READER)}"
        self.narrow_token = f"simulated-{seed.hex(32, 'token', NARROW)}"
        self.nobody_token = f"simulated-{seed.hex(32, 'token', WITHOUT_RIGHTS)}"
        self._rules = rules_for(operator_namespace)
        self._faults = faults
        self._uid = seed.uuid("user", READER)
        self.audit: set[tuple[str, str, str, str]] = set()
        """(verb, group, resource, namespace) of every request for an object, as an audit log would have it."""

    def user(self, authorisation: str | None) -> str:
        """Returns the user of a request; raises Refusal 401 for an unknown token. Without a token it is the anonymous user."""
        if not authorisation:
            return ANONYMOUS
        scheme, _, token = authorisation.partition(" ")
        if scheme.lower() == "bearer" and not self._faults.unauthorised:
            for known, name in (
                (self.reader_token, READER),
                (self.narrow_token, NARROW),
                (self.nobody_token, WITHOUT_RIGHTS),
            ):
                if hmac.compare_digest(token.strip().encode(), known.encode()):
                    return name
        raise errors.unauthorised()

    def rules(self, user: str) -> list[Rule]:
        """The rules of a user, less what a fault took away."""
        if user == ANONYMOUS:
            return []
        kept: list[Rule] = []
        for rule in self._rules:
            if rule.reader_only and user not in (READER, NARROW):
                continue
            if user == NARROW and rule.reader_only:
                shown = tuple(resource for resource in rule.resources if resource in ("nodes", "pods"))
                if not shown:
                    continue
                rule = Rule(rule.verbs, rule.group, shown)
            whole = tuple(
                resource
                for resource in rule.resources
                if not any(self._faults.takes_right(verb, resource) for verb in rule.verbs)
            )
            if whole:
                kept.append(Rule(rule.verbs, rule.group, whole, rule.namespace, rule.reader_only))
            for resource in rule.resources:
                left = tuple(verb for verb in rule.verbs if not self._faults.takes_right(verb, resource))
                if resource not in whole and left:
                    kept.append(Rule(left, rule.group, (resource,), rule.namespace, rule.reader_only))
        return kept

    def allows(self, user: str, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether a user may `verb` a resource (with its subresource, as in `pods/proxy`) in a namespace ("" = everywhere)."""
        return any(
            verb in rule.verbs and group == rule.group and resource in rule.resources and rule.namespace in ("", namespace)
            for rule in self.rules(user)
        )

    def allows_path(self, user: str, path: str) -> bool:
        """Whether a user may GET a path that is no resource."""
        if path in _PUBLIC_PATHS:
            return True
        return user != ANONYMOUS and any(
            path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1])) for pattern in _OPEN_PATHS
        )

    def rules_review(self, user: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a SelfSubjectRulesReview."""
        namespace = (body.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        resource_rules = [
            {"verbs": list(rule.verbs), "apiGroups": [rule.group], "resources": list(rule.resources)}
            for rule in self.rules(user)
            if rule.namespace in ("", namespace)
        ]
        paths = [_OPEN_PATHS, ("/.well-known", "/.well-known/*"), _PUBLIC_PATHS]
        return {
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": {
                "resourceRules": resource_rules,
                "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": list(urls)} for urls in paths],
                "incomplete": False,
            },
        }

    def access_review(self, user: str, body: dict[str, Any], agent: str, now: str) -> dict[str, Any]:
        """The answer to a SelfSubjectAccessReview."""
        spec = body.get("spec") or {}
        asked = spec.get("resourceAttributes") or {}
        resource = asked.get("resource", "")
        if asked.get("subresource"):
            resource = f"{resource}/{asked['subresource']}"
        allowed = self.allows(user, asked.get("verb", ""), asked.get("group", ""), resource, asked.get("namespace", ""))
        status: dict[str, Any] = {"allowed": allowed}
        if allowed:
            binding = f'ClusterRoleBinding "{user}-reader" of ClusterRole "{user}-reader" to User "{user}"'
            status["reason"] = f"RBAC: allowed by {binding}"
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {"managedFields": [managed.entry(agent, {"spec": spec}, now, "authorization.k8s.io/v1")]},
            "spec": spec,
            "status": status,
        }

    def subject_review(self, user: str, now: str) -> dict[str, Any]:
        """The answer to a SelfSubjectReview: who am I?"""
        group = "system:unauthenticated" if user == ANONYMOUS else "system:authenticated"
        return {
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": now},
            "status": {"userInfo": {"username": user, "uid": self._uid, "groups": [f"{user}:readers", group]}},
        }
