"""Missing read permissions and existing write permissions, from the rules the API server returns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.collectors import needed_permissions, permissions
from fleet.collectors.apis import Apis, parse
from fleet.collectors.errors import Asked, Failure
from fleet.domain.snapshot import MissingPermission, Permissions
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body, recording
from tests.collectors.scripted import Server, session

APIS = parse(body("apis"))
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
MAPS = {"gpu-operator": frozenset({"time-slicing-config"})}
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


def rules(*raw: dict[str, Any], namespace: str = "default", **status: Any) -> permissions.Rules:
    review = {"status": {"resourceRules": list(raw), "incomplete": False, **status}}
    return permissions.parse_rules(namespace, json.dumps(review).encode())


def judged(*raw: dict[str, Any], config_maps: Any = None, apis: Apis = APIS) -> Permissions:
    stack = [rules(*raw, namespace="gpu-operator")] if config_maps else []
    return permissions.parse(rules(*raw), stack, apis, config_maps or {})


def missing(made: Permissions) -> set[tuple[str, str, str]]:
    return {(right.verb, right.resource, right.namespace) for right in made.missing}


SCHEDULING = {
    ("list", resource, "")
    for resource in (
        *("namespaces", "persistentvolumeclaims", "persistentvolumes", "storageclasses", "csinodes", "csidrivers"),
        *("runtimeclasses", "priorityclasses"),
    )
}
"""What accounts made for an earlier version lack: only answers about pods that depend on it become unknown."""


NOT_INSTALLED = [need for need in needed_permissions.NEEDS if need.optional and APIS.serves(need.group) is False]
"""The recorded cluster has no Node Readiness Controller."""


def test_the_recorded_reviews() -> None:
    stack = permissions.parse_rules("gpu-operator", body("ssrr_gpu-operator"))
    made = permissions.parse(permissions.parse_rules("default", body("ssrr_default")), [stack], APIS, MAPS)
    # this recorded account is from before Muster read DeviceTaintRules and what the scheduler reads
    expected = {("get", "pods/proxy", ""), ("list", "devicetaintrules", ""), ("list", "gpuclusters", ""), *SCHEDULING}
    assert missing(made) == expected - {("list", "namespaces", "")}
    assert made.writes == ()
    assert made.incomplete is False


def test_everything_is_missing_without_rules_and_each_says_what_it_hides() -> None:
    made = judged(config_maps=MAPS)
    assert len(made.missing) == len(needed_permissions.NEEDS) - len(NOT_INSTALLED)
    assert all(right.hides for right in made.missing)
    assert ("get", "configmaps", "gpu-operator") in missing(made)


def test_an_administrator_misses_nothing_and_may_write_everything() -> None:
    made = judged(EVERYTHING, config_maps=MAPS)
    assert made.missing == ()
    assert made.writes == ("* *.*",)


def test_rights_of_absent_apis_are_not_missed() -> None:
    made = judged(apis=Apis({"apps": ("v1",)}, known=True))
    assert missing(made) == {
        ("list", "nodes", ""),
        ("list", "pods", ""),
        ("get", "pods/proxy", ""),
        ("list", "daemonsets", ""),
        ("list", "events", "default"),
        ("list", "namespaces", ""),
        ("list", "persistentvolumeclaims", ""),
        ("list", "persistentvolumes", ""),
    }


def test_config_maps_are_needed_only_where_one_is_read() -> None:
    made = permissions.parse(rules(), [rules(namespace="gpu-operator")], APIS, {"gpu-operator": frozenset()})
    assert not any(right.resource == "configmaps" for right in made.missing)


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/proxy"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/proxy"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*"]}, True),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods/proxy"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/*"]}, False),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["pods/proxy"]}, False),
        ({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["pods/proxy"]}, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/proxy"], "resourceNames": ["one"]}, False),
        ({"verbs": ["get"], "apiGroups": None, "resources": None}, False),
    ],
)
def test_rules_match_as_rbac_matches(rule: dict[str, Any], allowed: bool) -> None:
    assert (("get", "pods/proxy", "") not in missing(judged(rule))) is allowed


@pytest.mark.parametrize(
    ("names", "allowed"),
    [(["time-slicing-config"], True), (["time-slicing-config", "x"], True), (["x"], False)],
)
def test_rules_bound_to_names(names: list[str], allowed: bool) -> None:
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": names}
    assert (("get", "configmaps", "gpu-operator") not in missing(judged(rule, config_maps=MAPS))) is allowed


@pytest.mark.parametrize(
    ("rule", "writes"),
    [
        ({"verbs": ["get", "create"], "apiGroups": [""], "resources": ["pods"]}, ("create pods",)),
        ({"verbs": ["patch"], "apiGroups": ["apps"], "resources": ["deployments"]}, ("patch deployments.apps",)),
        (
            {"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
            ("delete pods (a only)",),
        ),
        ({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"]}, ()),
        ({"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"]}, ("impersonate users",)),
        ({"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]}, ()),
    ],
)
def test_what_the_account_may_write(rule: dict[str, Any], writes: tuple[str, ...]) -> None:
    assert judged(rule).writes == writes


def test_an_answer_that_may_lack_rules_says_so() -> None:
    assert permissions.parse(rules(incomplete=True), [], APIS, {}).incomplete
    assert permissions.parse(rules(evaluationError="webhook"), [], APIS, {}).incomplete


@pytest.mark.parametrize("odd", [b"{}", b"<html>", b'{"status":null}', b'{"status":5}'])
def test_no_rules_is_not_no_answer(odd: bytes) -> None:
    with pytest.raises(Failure) as caught:
        permissions.parse_rules("default", odd)
    assert caught.value.outcome is Outcome.MALFORMED


def test_null_rules_are_no_rights() -> None:
    assert permissions.parse_rules("default", b'{"status":{"resourceRules":null}}').rules == ()


def test_everywhere_and_each_namespace_is_reviewed() -> None:
    asked: list[str] = []

    def review(_: dict[str, str], sent: Any) -> Any:
        asked.append(sent["spec"]["namespace"])
        return body("ssrr_default")

    made = permissions.fetch(session(Server({RULES: review})), APIS, MAPS)
    assert asked == [permissions.EVERYWHERE, "default", "gpu-operator"]
    assert ("get", "configmaps", "gpu-operator") in missing(made)


def test_where_rules_may_be_lacking_each_right_is_asked_for() -> None:
    asked: list[dict[str, str]] = []

    def access(_: dict[str, str], sent: Any) -> Any:
        asked.append(sent["spec"]["resourceAttributes"])
        name = "ssar_denied" if asked[-1]["resource"] == "nodes" else "ssar_allowed"
        return body(name)

    server = Server({RULES: {"status": {"resourceRules": [], "incomplete": True}}, ACCESS: access})
    made = permissions.fetch(session(server), APIS, MAPS)
    assert missing(made) == {("list", "nodes", "")}
    assert made.incomplete
    assert {"verb": "get", "group": "", "resource": "pods", "subresource": "proxy"} in asked
    assert {"verb": "get", "group": "", "resource": "configmaps", "namespace": "gpu-operator"} in asked


def test_what_cannot_even_be_asked_stays_missing() -> None:
    server = Server({RULES: {"status": {"resourceRules": [], "incomplete": True}}, ACCESS: 403})
    assert len(permissions.fetch(session(server), APIS, {}).missing) == len(needed_permissions.NEEDS) - 1 - len(NOT_INSTALLED)


def test_the_recorded_access_reviews_have_the_shape_that_is_read() -> None:
    assert recording("ssar_allowed")["body"]["status"]["allowed"] is True
    assert recording("ssar_denied")["body"]["status"]["allowed"] is False


def test_the_rule_that_would_allow_it() -> None:
    right = MissingPermission(verb="list", group="nvidia.com", resource="clusterpolicies")
    assert rbac_rule(right) == {
        "apiGroups": ["nvidia.com"],
        "resources": ["clusterpolicies"],
        "verbs": ["list"],
    }


def place(namespace: str, *raw: dict[str, Any]) -> permissions.Rules:
    return rules(*raw, namespace=namespace)


LIST_PODS = {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}


def test_a_role_in_the_namespace_default_is_no_right_everywhere() -> None:
    made = permissions.parse(place(permissions.EVERYWHERE), [place("default", LIST_PODS)], APIS, {})
    assert ("list", "pods", "") in missing(made)
    events = {"verbs": ["list"], "apiGroups": [""], "resources": ["events"]}
    made = permissions.parse(place(permissions.EVERYWHERE), [place("default", events)], APIS, {})
    assert ("list", "events", "default") not in missing(made)


def test_writes_of_one_namespace_name_it_and_where_was_looked() -> None:
    create = {"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]}
    patch = {"verbs": ["patch"], "apiGroups": [""], "resources": ["nodes"]}
    made = permissions.parse(
        place("everywhere", patch), [place("default", patch), place("gpu-operator", patch, create)], APIS, {}
    )
    assert made.writes == ("patch nodes", "create pods in namespace gpu-operator")
    assert made.reviewed == ("default", "gpu-operator")


def test_what_a_request_was_refused_for_is_missing_whatever_the_rules_say() -> None:
    made = judged(EVERYTHING)
    asked = [
        Asked(verb="list", resource="pods", namespace="team-a"),
        Asked(verb="list", resource="pods"),
        Asked(verb="list", resource="devicetaintrules", group="resource.k8s.io", optional=True),
        Asked(verb="get", resource="/version"),
    ]
    refused = permissions.with_forbidden(made, asked)
    assert missing(refused) == {("list", "pods", ""), ("list", "devicetaintrules", "")}
    assert all(right.hides for right in refused.missing)
    assert rbac_rule(refused.missing[0])["resources"] == ["pods"]
    assert permissions.with_forbidden(refused, asked) == refused


def rbac_rule(right: permissions.MissingPermission) -> dict[str, list[str]]:
    """The rule to add to Muster's role for a missing right, as RBAC writes it."""
    return {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}
