"""Discovery and version: what is installed, and who answers at all."""

from __future__ import annotations

import pytest

from fleet.collectors import apis, version
from fleet.collectors.errors import Asked, Failure
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body
from tests.collectors.scripted import Server, session

REFUSED = Failure(Outcome.FORBIDDEN, "May not.")
ASKED = Asked(verb="list", resource="clusterpolicies", group="nvidia.com", optional=True)


def test_the_recorded_groups() -> None:
    known = apis.parse(body("apis"))
    assert known.serves("nvidia.com") is True
    assert known.serves("nvidia.com", "v1alpha1") is True
    assert known.serves("nvidia.com", "v9") is False
    assert known.serves("metrics.k8s.io") is False
    assert known.first_of("resource.k8s.io", ("v1", "v1beta1")) == ("v1",)


@pytest.mark.parametrize("odd", [b"{}", b"<html>", b'{"groups":5}', b'{"groups":null}'])
def test_what_cannot_be_learned_is_neither_there_nor_absent(odd: bytes) -> None:
    unknown = apis.parse(odd)
    assert unknown.serves("nvidia.com") is None
    assert unknown.first_of("x", ("a", "b")) == ("a", "b")


def test_a_refused_discovery_is_an_answer() -> None:
    assert apis.fetch(session(Server({"/apis": 403}))).known is False


@pytest.mark.parametrize(("answer", "outcome"), [(401, Outcome.UNAUTHORISED), (500, Outcome.UNREACHABLE)])
def test_other_failures_of_discovery_are_failures(answer: int, outcome: Outcome) -> None:
    with pytest.raises(Failure) as caught:
        apis.fetch(session(Server({"/apis": answer})))
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    ("resources", "outcome"),
    [
        (body("apis_nvidia_com_v1"), Outcome.FORBIDDEN),
        ({"resources": [{"name": "others"}]}, Outcome.ABSENT),
        ({"resources": None}, Outcome.FORBIDDEN),
        (403, Outcome.FORBIDDEN),
        (b"<html>", Outcome.FORBIDDEN),
    ],
)
def test_a_refusal_explained(resources: object, outcome: Outcome) -> None:
    server = Server({"/apis/nvidia.com/v1": resources})  # type: ignore[dict-item]
    explain_refusal = apis.explain_refusal(session(server), apis.parse(body("apis")), REFUSED, ASKED, "v1")
    assert explain_refusal.outcome is outcome


def test_only_refusals_are_explained() -> None:
    failure = Failure(Outcome.TIMEOUT, "Slow.")
    assert apis.explain_refusal(session(Server({})), apis.Apis(), failure, ASKED, "v1") is failure


def test_the_recorded_version() -> None:
    assert version.fetch(session(Server({"/version": body("version")}))) == "v1.36.2"


@pytest.mark.parametrize("odd", [b"", b"<html>Sign in</html>", b"{}", b'{"gitVersion":5}', b"[]"])
def test_something_else_that_answers_is_no_api_server(odd: bytes) -> None:
    with pytest.raises(Failure) as caught:
        version.fetch(session(Server({"/version": odd})))
    assert caught.value.outcome is Outcome.MALFORMED
    assert "not a Kubernetes API server" in caught.value.reason
