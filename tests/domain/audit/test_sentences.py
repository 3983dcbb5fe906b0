from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.domain.audit.differences import Difference, differences, others
from fleet.domain.audit.sentences import _PHRASES, label, sentence

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("actor", "via", "action", "subject", "detail", "text"),
    [
        ("otto", "page", "finding.silence", "untainted on east/n1", {}, "otto silenced untainted on east/n1"),
        ("", "worker", "request.expire", "request 7 of ml", {}, "Muster recorded the expiry of request 7 of ml"),
        ("", "command", "cluster.telemetry_source", "east", {}, "Command line changed the telemetry source of east"),
        ("otto", "page", "maintenance.begin", "east/n1", {}, "otto put east/n1 into maintenance"),
        ("otto", "api", "expected_gpus.declare", "east/n1", {"count": 8}, "otto declared 8 expected GPUs for east/n1"),
        ("otto", "api", "expected_gpus.declare", "east/n1", {}, "otto declared expected GPUs for east/n1"),
        ("otto", "page", "pool.save", "h100", {"before": None, "after": {}}, "otto created pool h100"),
        ("otto", "page", "pool.save", "h100", {"before": {"a": 1}, "after": {}}, "otto changed pool h100"),
        ("vera", "page", "session.sign_in", "", {"method": "link"}, "vera signed in by a one-time link"),
        ("root", "page", "session.fail", "", {"method": "password"}, "root failed to sign in with a password"),
        ("root", "page", "session.lock", "", {}, "root was locked out after too many tries"),
        # actions that have no words of their own
        ("ada", "page", "token.revoke", "muster_ab", {}, "ada revoked token muster_ab"),
        ("ada", "page", "user.change_role", "vera", {}, "ada changed role user vera"),
        ("ada", "page", "service_account.modify", "ci", {}, "ada modified service account ci"),
        ("ada", "page", "odd", "x", {}, "ada did odd x"),
    ],
)
def test_an_entry_reads_as_a_sentence(
    actor: str, via: str, action: str, subject: str, detail: dict[str, object], text: str
) -> None:
    assert str(sentence(actor, via, action, subject, detail)) == text


def test_every_action_of_the_services_has_words_of_its_own() -> None:
    actions = set()
    for path in (ROOT / "fleet").rglob("*.py"):
        actions |= set(re.findall(r"\b(?:audit|record)\([^)]*?\"([a-z_]+\.[a-z_]+)\"", path.read_text()))
    assert len(actions) > 20
    assert actions <= set(_PHRASES), sorted(actions - set(_PHRASES))


def test_a_filter_shows_actions_in_words() -> None:
    assert label("notification_rule.create") == "Notification rule: create"
    assert label("odd") == "odd"


def test_changes_are_the_fields_that_differ() -> None:
    detail = {
        "before": {"a": 1, "b": {"c": 2, "d": 3}, "gone": "x"},
        "after": {"a": 1, "b": {"c": 5, "d": 3}, "new": [1]},
        "more": 1,
    }
    assert differences(detail) == [Difference("b.c", 2, 5), Difference("gone", "x", None), Difference("new", None, [1])]
    assert others({**detail, "empty": ""}) == {"more": 1}
    assert differences({"before": 3, "after": 4}) == [Difference("value", 3, 4)]
    assert differences({"before": None, "after": {"a": 1}}) == [Difference("a", None, 1)]
    assert differences({"before": {"a": 1}}) == [Difference("a", 1, None)]
    assert differences({}) == []
    assert len(differences({"before": {}, "after": {str(n): n + 1 for n in range(99)}})) == 40
