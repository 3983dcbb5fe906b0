"""Limited people and tokens: whose request is limited to what, and which addresses are open to them."""

from __future__ import annotations

from fleet.domain.people.scopes import Scope, scope_of
from fleet.models import ApiToken, User, scope

current, enter, leave, unscoped = scope.current, scope.enter, scope.leave, scope.unscoped

READ = frozenset(
    {
        # pages
        *("fleet", "nodes", "node", "findings", "incidents", "incident", "incident-changes", "history", "pools", "pool"),
        *("classes", "class", "clusters", "cluster", "watchers", "xids", "xid", "requests", "request", "request-new"),
        *("request-edit", "request-numbers", "search", "search-preview", "sizing", "topology", "pending", "stranded"),
        *("explain", "what-if", "teams", "team", "account", "patterns", "password"),
        # API
        *(
            f"api-{name}-{kind}"
            for name in ("nodes", "gpus", "mig-instances", "findings", "incidents")
            for kind in ("list", "facets")
        ),
        *(f"api-{name}-{kind}" for name in ("pools", "classes", "requests", "teams") for kind in ("list", "facets", "detail")),
        *(
            "api-clusters-list",
            "api-clusters-facets",
            "api-clusters-detail",
            "api-runs-list",
            "api-runs-facets",
            "api-runs-detail",
        ),
        *("api-findings-detail", "api-incidents-detail", "api-classes-headroom", "api-classes-manifest", "api-requests-numbers"),
        *("api-xid-bursts-list", "api-xid-bursts-facets", "api-xids-list", "api-xids-facets", "api-xids-detail", "api-schema"),
        *("api-fleet-summary", "api-node", "api-node-history", "api-node-diff", "api-node-revisions", "api-node-pods"),
        *("api-node-revisions-facets", "api-node-pods-facets", "api-availability", "api-availability-facets", "api-changes"),
        *("api-changes-facets", "api-watchers", "api-bootstrap", "api-bootstrap-facets", "api-pool-history", "api-class-history"),
        *("api-pool-history-facets", "api-class-history-facets", "api-node-maintenance", "api-node-expected"),
        *("api-cluster-waivers", "api-search", "api-topology", "api-pending", "api-pending-facets", "api-stranded", "api-models"),
        *("api-docs", "api-tokens-list", "api-tokens-facets", "api-tokens-detail", "api-sessions-list", "api-sessions-facets"),
    }
)
"""Names of the addresses that a limited person may read. What is not named is refused, as is everything new."""
WRITE = frozenset(
    {
        *(
            "incident-silence",
            "finding-silence",
            "silence-end",
            "cluster-collect",
            "node-maintenance-begin",
            "node-maintenance-end",
        ),
        *("node-expected-declare", "node-expected-withdraw", "waiver-grant", "waiver-withdraw", "request-new", "request-edit"),
        *("request-step", "explain", "what-if", "sizing", "topology", "saved-views", "saved-view-delete", "sign-out", "sign-in"),
        *("password", "session-end", "sessions-end-others", "token-new", "token-revoke", "token-rotate"),
        *("api-explain", "api-sizing", "api-what-if", "api-topology-groups", "api-findings-silence", "api-findings-unsilence"),
        *("api-clusters-collect", "api-node-maintenance", "api-node-expected", "api-cluster-waivers", "api-cluster-waiver"),
        *("api-requests-list", "api-requests-detail", "api-requests-withdraw", "api-requests-submit", "api-requests-extend"),
        *("api-tokens-list", "api-tokens-revoke", "api-tokens-rotate", "api-sessions-end"),
    }
)
"""Those they may write to, by their role, of what they see."""
_NOT_FOR_NAMESPACES = frozenset(
    {
        # Answers that simulate the scheduler over the pods of all namespaces, and name them.
        *("explain", "what-if", "topology", "pending", "stranded", "api-explain", "api-what-if", "api-topology"),
        *("api-topology-groups", "api-pending", "api-pending-facets", "api-stranded", "api-stranded-history"),
    }
)
_NOTHING_OF_NODES = frozenset(
    {
        *("incident-silence", "finding-silence", "silence-end", "cluster-collect", "node-maintenance-begin"),
        *("node-maintenance-end", "node-expected-declare", "node-expected-withdraw", "waiver-grant", "waiver-withdraw"),
        *("api-findings-silence", "api-findings-unsilence", "api-clusters-collect", "api-node-maintenance", "api-node-expected"),
        *("api-cluster-waivers", "api-cluster-waiver"),
    }
)
"""Acts on nodes: who is limited to namespaces shares them with others."""
_UNLIMITED_PREFIXES = ("mfa_", "account_")
"""Addresses of one's own account that django-allauth names."""


def of_user(user: User, token: ApiToken | None = None) -> Scope | None:
    """Returns what the person sees, through a token where the request brings one; None for everything."""
    return scope_of(user.limits, None if token is None else token.clusters, user.pk)


def is_open(name: str, method: str) -> bool:
    """Whether the limited person of this request may call the address of this name."""
    if name.startswith(_UNLIMITED_PREFIXES):
        return True
    reads = method in ("GET", "HEAD", "OPTIONS")
    if scope.hides_pods() and (name in _NOT_FOR_NAMESPACES or (not reads and name in _NOTHING_OF_NODES)):
        return False
    return name in (READ if reads else WRITE)
