"""Every write of the URL map: what a page or a client sends, and which entry of the audit log it leaves.

A new address that takes POST, PUT, PATCH or DELETE needs an entry here, else tests/access/test_audited.py fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.access.scene import (
    ASK,
    CLASS,
    FORECAST,
    PASSWORD,
    POOL,
    PRICE,
    REASON,
    Scene,
    _free_pool,
    _no_pool,
    a_draft,
    a_forecast,
    a_link,
    a_person,
    a_price,
    a_service,
    a_session,
    a_target_rule,
    a_token,
    a_view,
    asking,
    declared,
    edit_form,
    member,
    no_password,
    of_finding,
    on,
    out,
    overridden,
    pk,
    silenced,
    step,
    team,
    waived,
    waived_pool,
    with_password,
    with_target,
)
from tests.api.test_pools import STREAM
from tests.factories import a_rule, a_target
from tests.web.request_pages import FORM


@dataclass(frozen=True)
class Write:
    """One write that succeeds."""

    action: str
    """Of the audit entry."""
    body: dict[str, Any] | str | None = None
    prepare: Callable[[Scene], dict[str, Any]] | None = None
    """Makes what is changed; returns parts of the address, with `body` where it depends on them."""
    signed_in: bool = True
    has: tuple[str, ...] = ()
    """What the entry must state: `after` of what was made, `before` of what was removed, both of a change."""


@dataclass(frozen=True)
class Unchanged:
    """A POST that changes nothing, or nothing that is anyone's but the reader's: why."""

    why: str


@dataclass(frozen=True)
class ShownBy:
    """A write whose entry another test shows, because it takes several steps."""

    test: str


MADE, REMOVED, CHANGED = ("after",), ("before",), ("before", "after")
QUESTION = Unchanged("answers a question")
NO_SUCH = Unchanged("no such method there: the address of what is absent is 404 before")
SECOND_FACTOR = ShownBy("tests/web/test_account.py::test_every_change_of_a_second_factor_and_each_wrong_code_is_on_record")
SIGN_IN = Write("session.sign_in", prepare=with_password, signed_in=False)

WRITES: dict[tuple[str, str], Write | Unchanged | ShownBy | tuple[Write, ...]] = {
    # --- the API ---
    ("api-classes-detail", "DELETE"): Write("class.remove", prepare=lambda _: {"slug": "full-h100"}, has=REMOVED),
    ("api-cluster-waivers", "POST"): Write("waiver.grant", {"rung": "cuda_works", **REASON}, has=MADE),
    ("api-cluster-waiver", "DELETE"): Write("waiver.withdraw", prepare=waived, has=REMOVED),
    ("api-clusters-collect", "POST"): Write("cluster.collect"),
    ("api-explain", "POST"): QUESTION,
    ("api-findings-silence", "POST"): Write("finding.silence", {**REASON, "until": "soon"}, of_finding, has=MADE),
    ("api-findings-unsilence", "POST"): Write("finding.unsilence", prepare=silenced, has=REMOVED),
    ("api-incidents-silence", "POST"): Write("finding.silence", {**REASON, "until": "soon"}, of_finding, has=MADE),
    ("api-node-expected", "POST"): Write("expected_gpus.declare", {"count": 4, **REASON}, has=CHANGED),
    ("api-node-expected", "DELETE"): Write("expected_gpus.withdraw", prepare=declared, has=REMOVED),
    ("api-node-maintenance", "POST"): Write("maintenance.begin", REASON, has=MADE),
    ("api-node-maintenance", "DELETE"): Write("maintenance.end", prepare=out, has=REMOVED),
    ("api-notification-rules-list", "POST"): Write(
        "notification_rule.create", {"name": "Night", "target": "Ops"}, lambda _: {"target": a_target("Ops")}, has=MADE
    ),
    ("api-notification-rules-detail", "PATCH"): Write(
        "notification_rule.change", {"name": "Day"}, lambda _: pk(a_rule("R")), has=CHANGED
    ),
    ("api-notification-rules-detail", "DELETE"): Write(
        "notification_rule.delete", prepare=lambda _: pk(a_rule("R")), has=REMOVED
    ),
    ("api-notification-targets-list", "POST"): Write(
        "notification_target.create", {"name": "Ops", "kind": "webhook", "address": "https://hooks.example.com/x"}, has=MADE
    ),
    ("api-notification-targets-detail", "PATCH"): Write(
        "notification_target.change", {"name": "New"}, lambda _: pk(a_target("Ops")), has=CHANGED
    ),
    ("api-notification-targets-detail", "DELETE"): Write(
        "notification_target.delete", prepare=lambda _: pk(a_target("Ops")), has=REMOVED
    ),
    ("api-notification-targets-test", "POST"): Write("notification_target.test", prepare=lambda _: pk(a_target("Ops"))),
    ("api-pools-apply", "POST"): Write("pool.save", {"text": STREAM, "source": "gitops"}, has=CHANGED),
    ("api-pools-detail", "DELETE"): Write("pool.remove", prepare=_free_pool, has=REMOVED),
    ("api-requests-list", "POST"): Write("request.submit", ASK),
    ("api-requests-submit", "POST"): Write("request.submit", prepare=a_draft),
    ("api-requests-approve", "POST"): Write("request.approve", REASON, on("waiting"), has=CHANGED),
    ("api-requests-reject", "POST"): Write("request.reject", REASON, on("waiting"), has=CHANGED),
    ("api-requests-withdraw", "POST"): Write("request.withdraw", REASON, on("waiting"), has=CHANGED),
    ("api-requests-extend", "POST"): Write("request.extend", {"hours": 800, **REASON}, on("granted"), has=CHANGED),
    ("api-requests-resize", "POST"): Write("request.resize", {"replicas": 3, **REASON}, on("granted"), has=CHANGED),
    ("api-requests-decide-change", "POST"): Write(
        "request.change", {"grant": True, **REASON}, on("changing"), has=CHANGED
    ),
    ("api-requests-comment", "POST"): Write("request.comment", {"text": "Why?"}, on("waiting")),
    ("api-sessions-end", "POST"): Write("session.end", prepare=a_session),
    ("api-sizing", "POST"): QUESTION,
    ("api-kept-forecasts-list", "POST"): Write("what_if.keep", FORECAST, has=MADE),
    ("api-kept-forecasts-detail", "DELETE"): Write("what_if.remove", prepare=a_forecast, has=REMOVED),
    ("api-prices-list", "POST"): Write("price.save", PRICE, has=MADE),
    ("api-prices-detail", "DELETE"): Write("price.remove", prepare=a_price, has=REMOVED),
    ("api-teams-list", "POST"): Write("team.save", {"slug": "ml", "name": "ML", "namespaces": ["ml"]}, has=MADE),
    ("api-teams-detail", "PATCH"): Write("team.save", {"name": "New"}, team, has=CHANGED),
    ("api-teams-member", "PUT"): Write("team.member", {"lead": True}, member, has=CHANGED),
    ("api-teams-member", "DELETE"): Write("team.remove_member", prepare=member, has=REMOVED),
    ("api-tokens-list", "POST"): Write("token.create", {"name": "mine", "scopes": ["read"]}),
    ("api-tokens-revoke", "POST"): Write("token.revoke", prepare=a_token),
    ("api-tokens-rotate", "POST"): Write("token.rotate", prepare=a_token),
    ("api-topology-groups", "POST"): QUESTION,
    ("api-users-list", "POST"): Write("user.create", {"username": "new", "role": "viewer"}, has=MADE),
    ("api-users-detail", "PATCH"): (
        Write("user.change", {"role": "viewer"}, a_person, has=CHANGED),
        Write("user.limit", {"limits": ["cluster:east"]}, a_person, has=CHANGED),
    ),
    ("api-what-if", "POST"): QUESTION,
    ("api-xids-override", "PUT"): Write("xid.override", {"severity": "info", **REASON}, has=CHANGED),
    ("api-xids-override", "DELETE"): Write("xid.withdraw", prepare=overridden, has=CHANGED),
    # --- pages ---
    ("account_login", "POST"): SIGN_IN,
    ("sign-in", "POST"): SIGN_IN,
    ("sign-in-link", "POST"): Write("session.sign_in", prepare=a_link, signed_in=False),
    ("sign-out", "POST"): Write("session.sign_out"),
    ("account_reauthenticate", "POST"): SECOND_FACTOR,
    ("mfa_activate_totp", "POST"): SECOND_FACTOR,
    ("mfa_authenticate", "POST"): SECOND_FACTOR,
    ("mfa_deactivate_totp", "POST"): SECOND_FACTOR,
    ("mfa_generate_recovery_codes", "POST"): SECOND_FACTOR,
    ("mfa_reauthenticate", "POST"): SECOND_FACTOR,
    ("password", "POST"): Write("user.password", {"password": PASSWORD, "repeated": PASSWORD}, no_password),
    ("session-end", "POST"): Write("session.end", prepare=a_session),
    ("sessions-end-others", "POST"): Write("session.end", prepare=a_session),
    ("token-new", "POST"): Write("token.create", {"name": "mine", "scopes": ["read"], "days": "30"}),
    ("user-token-new", "POST"): Write("token.create", {"name": "its", "scopes": ["read"], "days": "30"}, a_service),
    ("token-revoke", "POST"): Write("token.revoke", prepare=a_token),
    ("token-rotate", "POST"): Write("token.rotate", prepare=a_token),
    ("users", "POST"): Write("user.create", {"username": "new", "role": "viewer"}, has=MADE),
    ("user", "POST"): (
        Write("user.change", {"role": "viewer", **REASON}, a_person, has=CHANGED),
        Write("user.change", {"active": "off", **REASON}, a_person, has=CHANGED),
        Write("user.limit", {"limits": "cluster:east", **REASON}, a_person, has=CHANGED),
    ),
    ("user-invite", "POST"): Write("user.invite", prepare=a_person),
    ("user-sessions-end", "POST"): Write("session.end", prepare=a_person),
    ("user-second-factor-reset", "POST"): Write("user.second_factor_reset", prepare=a_person),
    ("class-new", "POST"): Write("class.save", CLASS, has=MADE),
    ("class-edit", "POST"): Write(
        "class.save", prepare=edit_form("/classes/full-h100/edit/", max_replicas="2"), has=CHANGED
    ),
    ("class-remove", "POST"): Write("class.remove", prepare=lambda _: {"slug": "full-h100"}, has=REMOVED),
    ("class-adopt", "POST"): Write("class.save", {"slug": "full-gpu-inference"}, has=MADE),
    ("pool-new", "POST"): Write("pool.save", {**POOL, "slug": "other", "exclusive": ""}, has=MADE),
    ("pool-edit", "POST"): Write("pool.save", {**POOL, "required_rung": "6"}, lambda _: {"slug": "h100"}, has=CHANGED),
    ("pool-remove", "POST"): Write("pool.remove", prepare=_free_pool, has=REMOVED),
    ("pool-adopt", "POST"): Write("pool.save", {"slug": "h100-80gb-hbm3"}, _no_pool, has=MADE),
    ("pool-preview", "POST"): QUESTION,
    ("pool-waive", "POST"): Write("waiver.grant", {"rung": "cuda_works", **REASON}, lambda _: {"slug": "h100"}, has=MADE),
    ("pool-waiver-withdraw", "POST"): Write("waiver.withdraw", prepare=waived_pool, has=REMOVED),
    ("declarations", "POST"): Write("pool.save", {"text": STREAM, "do": "apply"}, has=CHANGED),
    ("cluster-collect", "POST"): Write("cluster.collect"),
    ("waiver-grant", "POST"): Write("waiver.grant", {"rung": "cuda_works", **REASON}, has=MADE),
    ("waiver-withdraw", "POST"): Write("waiver.withdraw", prepare=waived, has=REMOVED),
    ("node-maintenance-begin", "POST"): Write("maintenance.begin", REASON, has=MADE),
    ("node-maintenance-end", "POST"): Write("maintenance.end", prepare=out, has=REMOVED),
    ("node-expected-declare", "POST"): Write("expected_gpus.declare", {"count": "4", **REASON}, has=CHANGED),
    ("node-expected-withdraw", "POST"): Write("expected_gpus.withdraw", prepare=declared, has=REMOVED),
    ("finding-silence", "POST"): Write("finding.silence", {**REASON, "hours": "4"}, of_finding, has=MADE),
    ("incident-silence", "POST"): Write("finding.silence", {**REASON, "hours": "4"}, of_finding, has=MADE),
    ("silence-end", "POST"): Write("finding.unsilence", prepare=lambda scene: pk(scene.silence()), has=REMOVED),
    ("notification-target-add", "POST"): Write(
        "notification_target.create", {"name": "Ops", "kind": "webhook", "address": "https://hooks.example.com/x"}, has=MADE
    ),
    ("notification-target", "POST"): Write(
        "notification_target.change", {"name": "New", "address": "", "secret": ""}, lambda _: pk(a_target("Ops")), has=CHANGED
    ),
    ("notification-target-delete", "POST"): Write(
        "notification_target.delete", prepare=lambda _: pk(a_target("Ops")), has=REMOVED
    ),
    ("notification-target-test", "POST"): Write("notification_target.test", prepare=lambda _: pk(a_target("Ops"))),
    ("notification-rule-add", "POST"): Write("notification_rule.create", prepare=with_target, has=MADE),
    ("notification-rule", "POST"): Write("notification_rule.change", prepare=a_target_rule, has=CHANGED),
    ("notification-rule-delete", "POST"): Write("notification_rule.delete", prepare=lambda _: pk(a_rule("R")), has=REMOVED),
    ("request-new", "POST"): Write("request.submit", {**FORM, "replicas": "5"}),
    ("request-edit", "POST"): Write("request.edit", {**FORM, "do": "draft"}, a_draft, has=CHANGED),
    ("request-step", "POST"): (
        Write("request.submit", prepare=lambda scene: a_draft(scene) | {"step": "submit"}),
        Write("request.approve", REASON, step("approve", "waiting"), has=CHANGED),
        Write("request.reject", REASON, step("reject", "waiting"), has=CHANGED),
        Write("request.withdraw", REASON, step("withdraw", "waiting"), has=CHANGED),
        Write("request.extend", {"hours": "800", **REASON}, step("extend", "granted"), has=CHANGED),
        Write("request.resize", {"replicas": "3", **REASON}, step("resize", "granted"), has=CHANGED),
        Write("request.change", {"grant": "yes", **REASON}, step("decide-change", "changing"), has=CHANGED),
        Write("request.comment", {"text": "Why?"}, step("comment", "waiting")),
    ),
    ("saved-views", "POST"): Write("saved_view.save", {"name": "mine", "query": "q=1"}, has=MADE),
    ("saved-view-delete", "POST"): Write("saved_view.delete", prepare=a_view, has=REMOVED),
    ("teams", "POST"): Write("team.save", {"slug": "ml", "name": "ML", "namespaces": "ml"}, has=MADE),
    ("team", "POST"): Write("team.save", {"name": "New", "namespaces": "research"}, team, has=CHANGED),
    ("what-if-keep", "POST"): Write("what_if.keep", {**FORECAST, "changes": "- {kind: cordon, nodes: [n0]}"}, has=MADE),
    ("prices", "POST"): Write("price.save", PRICE, has=MADE),
    ("price-remove", "POST"): Write("price.remove", prepare=a_price, has=REMOVED),
    ("setup-hide", "POST"): Unchanged("It is kept in the reader's own session."),
    ("nodes-selected", "POST"): ShownBy("tests/web/test_selected.py::test_maintenance_of_what_a_filter_selects_begins_and_ends"),
    ("findings-selected", "POST"): ShownBy("tests/web/test_selected.py::test_findings_are_silenced_together"),
    ("team-join", "POST"): Write("team.ask_membership", REASON, team, has=MADE),
    ("team-member-decline", "POST"): Write("team.decline_membership", {"user": "olga"}, asking, has=REMOVED),
    ("team-member", "POST"): Write("team.member", {"user": "olga", "lead": "on"}, member, has=CHANGED),
    ("team-member-remove", "POST"): Write("team.remove_member", {"user": "olga"}, member, has=REMOVED),
    ("xid-override", "POST"): Write("xid.override", {"severity": "info", **REASON}, has=CHANGED),
    ("xid-withdraw", "POST"): Write("xid.withdraw", REASON, overridden, has=CHANGED),
    ("explain", "POST"): QUESTION,
    ("sizing", "POST"): QUESTION,
    ("what-if", "POST"): QUESTION,
} | {
    (f"api-{name}{facets}", method): NO_SUCH
    for name in ("class-history", "node-pods", "node-revisions", "pool-history")
    for facets in ("", "-facets")
    for method in ("POST", "PUT", "PATCH", "DELETE")
}  # fmt: skip
