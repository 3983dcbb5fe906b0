"""Refusals are those of a real API server: code, content type, headers, and the words that do not depend on the case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.conftest import Client
from tests.simulator.shapes import differences, recorded, shape

NOT_OURS = {"Audit-Id", "Date", "Content-Length", "Transfer-Encoding", "X-Kubernetes-Pf-Flowschema-Uid"}


def _same(name: str, answer: Any) -> None:
    """Code, content type, headers and body are as recorded, save what differs from answer to answer."""
    real = recorded(name)
    assert answer.status == real["status"]
    wanted = {key: value for key, value in real["headers"].items() if key not in NOT_OURS and "Pf-" not in key}
    assert {key: answer.headers.get(key) for key in wanted} == wanted
    if isinstance(real["body"], str):
        assert answer.data.decode() == real["body"]
        return
    assert differences(shape([real["body"]]), shape([answer.json()])) == []
    for key in ("reason", "code", "status"):
        assert answer.json().get(key) == real["body"].get(key)


@pytest.mark.parametrize(
    "name",
    ["err_400_bad_continue", "err_400_bad_field_selector", "err_400_bad_label_selector", "err_400_bad_limit", "err_404_node"],
)
def test_questions_that_make_no_sense(us_east: Client, name: str) -> None:
    real = recorded(name)
    answer = us_east.ask(real["request"]["path"])
    _same(name, answer)
    if name != "err_400_bad_continue":  # its message quotes a byte of the token
        assert answer.json()["message"] == real["body"]["message"]


def test_a_wrong_token_is_unauthorised(us_east: Client) -> None:
    _same("err_401_invalid_token", us_east.ask("/api/v1/nodes", token="unknown-token"))


def test_no_token_is_forbidden_as_the_anonymous_user(us_east: Client) -> None:
    answer = us_east.ask("/api/v1/nodes", token=None)
    _same("err_403_anonymous", answer)
    assert answer.json()["message"] == recorded("err_403_anonymous")["body"]["message"]


@pytest.mark.parametrize("name", ["err_403_list_nodes", "err_403_watch"])
def test_a_known_user_without_rights_is_forbidden(us_east: Client, name: str) -> None:
    nobody_token = us_east.simulation.servers["prod-us-east"].cluster.access.nobody_token
    answer = us_east.ask(recorded(name)["request"]["path"], token=nobody_token)
    _same(name, answer)
    assert answer.json()["message"] == recorded(name)["body"]["message"]


def test_config_maps_are_forbidden_elsewhere(us_east: Client) -> None:
    answer = us_east.ask("/api/v1/namespaces/kube-system/configmaps/x")
    _same("err_403_get_configmap", answer)
    assert answer.json()["message"] == recorded("err_403_get_configmap")["body"]["message"]


def test_a_group_that_is_absent_is_plain_text_to_one_who_may_ask(eu_west: Client) -> None:
    _same("err_404_group", eu_west.ask("/apis/nvidia.com/v1/clusterpolicies"))
    _same("err_404_group", eu_west.ask("/apis/resource.k8s.io/v1/resourceslices"))


def test_a_group_that_is_absent_is_forbidden_to_one_without_rights(us_east: Client) -> None:
    _same("err_404_group_muster_403", us_east.ask("/apis/metrics.k8s.io/v1beta1/nodes"))


def test_an_old_version_of_a_group_is_a_status(us_east: Client) -> None:
    _same("err_404_old_dra_version", us_east.ask("/apis/resource.k8s.io/v1beta1/resourceslices"))


def test_other_methods_and_other_formats(us_east: Client) -> None:
    _same("err_405_method", us_east.ask("/api/v1/nodes/x/proxy/..", "TRACE"))
    _same("err_406_accept", us_east.ask("/api/v1/nodes", limit=1, headers={"Accept": "application/xml"}))


def test_writing_is_forbidden(us_east: Client) -> None:
    for method, verb in (("POST", "create"), ("DELETE", "deletecollection")):
        answer = us_east.ask("/api/v1/nodes", method, body={})
        assert (answer.status, answer.json()["reason"]) == (403, "Forbidden")
        assert f"cannot {verb} resource" in answer.json()["message"]


def test_a_future_resource_version(us_east: Client) -> None:
    answer = us_east.ask("/api/v1/nodes", resourceVersion="999999999", resourceVersionMatch="NotOlderThan")
    _same("err_504_future_resource_version", answer)


def test_an_old_exact_resource_version(us_east: Client) -> None:
    answer = us_east.ask("/api/v1/nodes", limit=2, resourceVersion=2, resourceVersionMatch="Exact")
    _same("err_410_list_exact_old_rv", answer)


def test_both_kinds_of_too_many_requests(own: Client) -> None:
    faults = own.simulation.faults("prod-us-east")
    faults.set(throttled=1)
    _same("err_429_apf", own.ask("/api/v1/nodes"))
    faults.set(throttled_json=1)
    _same("err_429_storage_initializing", own.ask("/apis/nvidia.com/v1alpha1/nvidiadrivers"))
    assert own.ask("/api/v1/nodes").status == 200, "both are over"


@pytest.mark.parametrize(
    ("name", "kind"), [("err_410_continue_expired_nodes", "nodes"), ("err_410_continue_expired_pods", "pods")]
)
def test_an_expired_continue_token_comes_with_a_fresh_one(own: Client, name: str, kind: str) -> None:
    first = own.get(f"/api/v1/{kind}", limit=3)
    own.simulation.fleet["prod-us-east"].compact()
    expired = own.ask(f"/api/v1/{kind}", limit=3, **{"continue": first["metadata"]["continue"]})
    _same(name, expired)
    rest = own.get(f"/api/v1/{kind}", limit=500, **{"continue": expired.json()["metadata"]["continue"]})
    names = [item["metadata"]["name"] for item in first["items"] + rest["items"]]
    assert len(names) == len(set(names)) == len(own.get(f"/api/v1/{kind}")["items"])
