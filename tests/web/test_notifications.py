"""Notification pages and API: who may see and change what, what is wrong beside its field, secrets that stay away."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest

from fleet import tasks
from fleet.models import AuditEntry, Delivery, DeliveryItem, NotificationRule, NotificationTarget, Role, User
from fleet.services.notifications import guard, send, targets
from tests.factories import NOON, a_cluster, a_delivery, a_node, a_notice, a_rule, a_target

pytestmark = pytest.mark.django_db
BAD = '"><img src=x onerror=alert(1)>'


@pytest.fixture
def boss(client: Any, db: None) -> Any:
    """A client that is signed in as an administrator."""
    client.force_login(User.objects.create(username="ada", role=Role.ADMIN))
    return client


@pytest.fixture(autouse=True)
def _nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "wake_notify", lambda: None)
    monkeypatch.setattr(guard, "check_host", _check)


def _check(host: str) -> None:
    if host == "10.0.0.1":
        raise guard.RefusedError("10.0.0.1 is a private network. Messages do not go there.")


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content.decode()[:2000]
    return re.sub(
        r"\s+", " ", unescape(re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S))
    )


PAGES = ("/notifications/", "/notifications/deliveries/", "/notifications/deliveries/{delivery}/")
FORMS = (
    "/notifications/targets/new/",
    "/notifications/targets/{target}/",
    "/notifications/rules/new/",
    "/notifications/rules/{rule}/",
)
POSTS = ("/notifications/targets/{target}/delete/", "/notifications/rules/{rule}/delete/")


@pytest.mark.parametrize(
    ("role", "pages", "test", "forms"),
    [("viewer", 403, 403, 403), ("developer", 403, 403, 403), ("operator", 200, 302, 403), ("admin", 200, 302, 200)],
)
def test_who_may_what(client: Any, role: str, pages: int, test: int, forms: int) -> None:
    client.force_login(User.objects.create(username="x", role=role))
    delivery = a_delivery()
    ids = {"delivery": delivery.pk, "target": delivery.target_id, "rule": delivery.rule_id}
    assert {client.get(path.format(**ids)).status_code for path in PAGES} == {pages}
    assert {client.get(path.format(**ids)).status_code for path in FORMS} == {forms}
    assert client.post(f"/notifications/targets/{delivery.target_id}/test/").status_code == test
    if forms == 403:
        assert {client.post(path.format(**ids)).status_code for path in (*FORMS, *POSTS)} == {403}
        assert NotificationRule.objects.count() == 1
    assert ("Notifications" in text(client.get("/nodes/"))) == (pages == 200)


def test_other_roles_see_nothing(client: Any, db: None) -> None:
    for path in ("/notifications/", "/notifications/targets/new/"):
        assert client.get(path).status_code == 302


def test_empty_pages_say_what_comes_next(boss: Any) -> None:
    assert "Add target" in text(boss.get("/notifications/"))
    assert "Add target" in text(boss.get("/notifications/rules/new/"))
    assert "No deliveries yet" in text(boss.get("/notifications/deliveries/"))
    a_target()
    assert "Add rule" in text(boss.get("/notifications/"))


def test_a_webhook_is_made_and_its_secret_shown_once(boss: Any) -> None:
    given = {"name": "Ops", "kind": "webhook", "address": "https://hooks.example.com/T0KEN"}
    made = text(boss.post("/notifications/targets/new/", given))
    target = NotificationTarget.objects.get()
    address, secret = targets.open_address(target)
    assert address == "https://hooks.example.com/T0KEN"
    assert secret in made
    for path in ("/notifications/", f"/notifications/targets/{target.pk}/"):
        page = boss.get(path).content.decode()
        assert "T0KEN" not in page
        assert secret not in page
        assert "hooks.example.com" in page


def test_a_messenger_is_made(boss: Any) -> None:
    given = {"name": "Chat", "kind": "apprise", "address": "ntfys://ntfy.example.com/topic"}
    answer = boss.post("/notifications/targets/new/", given, follow=True)
    assert "Chat added" in text(answer)
    assert "ntfy on ntfy.example.com" in text(answer)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"address": ""}, "Give the address."),
        ({"address": "http://10.0.0.1/"}, "10.0.0.1 is a private network."),
        ({"kind": "apprise", "address": "file:///etc/passwd"}, "Known messengers: Discord, E-mail"),
        ({"secret": "short"}, "Give at least 16 characters"),
        ({"name": "taken"}, "A target named taken already exists."),
    ],
)
def test_what_is_wrong_with_a_target_stands_beside_its_field(boss: Any, given: dict[str, str], sentence: str) -> None:
    a_target("taken")
    answer = boss.post(
        "/notifications/targets/new/", {"name": "Ops", "kind": "webhook", "address": "https://hooks.example.com/x", **given}
    )
    shown = text(answer, 400)
    assert sentence in shown
    assert "Nothing was saved" in shown
    assert 'aria-invalid="true"' in answer.content.decode()
    assert NotificationTarget.objects.count() == 1


def test_changing_a_target_keeps_what_is_left_empty(boss: Any) -> None:
    target = a_target("Ops")
    before = targets.open_address(target)
    boss.post(f"/notifications/targets/{target.pk}/", {"name": "On call", "address": "", "secret": ""})
    target.refresh_from_db()
    assert target.name == "On call"
    assert targets.open_address(target) == before


def test_deleting(boss: Any) -> None:
    rule = a_rule("R", a_target("Ops"))
    assert "Its 1 rule will be deleted too" in text(boss.get(f"/notifications/targets/{rule.target_id}/")).replace("\xa0", " ")
    assert "The rule R was deleted" in text(boss.post(f"/notifications/rules/{rule.pk}/delete/", follow=True))
    a_rule("R", rule.target)
    assert "Ops was deleted with 1 rule." in text(boss.post(f"/notifications/targets/{rule.target_id}/delete/", follow=True))
    assert not NotificationRule.objects.exists()
    assert [entry.actor_name for entry in AuditEntry.objects.all()] == ["ada", "ada"]


RULE = {"name": "Night", "min_severity": "critical", "group_s": "60", "repeat_s": "3600", "enabled": "on", "recoveries": "on"}


def test_a_rule_is_made_and_changed(boss: Any) -> None:
    a_node(cluster=a_cluster("east"))
    target = a_target("Ops")
    given = {
        **RULE, "target": target.pk, "kinds": ["finding", "verdict"], "verdicts": ["not_ready"], "clusters": ["east"],
        "products": ["NVIDIA-H100-80GB-HBM3"], "pools": "a, b,", "quiet_from": "22:00", "quiet_until": "07:00",
    }  # fmt: skip
    shown = text(boss.post("/notifications/rules/new/", given, follow=True))
    assert (
        "Nodes not ready, findings critical and worse, and recoveries" in shown.replace("Findings", "findings")
        or "Findings critical" in shown
    )
    assert "east · a, b · NVIDIA-H100-80GB-HBM3" in shown
    assert "Together within 1 min, quiet 22:00 to 07:00 UTC, repeats after 1 h" in shown
    rule = NotificationRule.objects.get()
    assert (rule.pools, rule.clusters, rule.repeat_s, str(rule.quiet_until)) == (["a", "b"], ["east"], 3600, "07:00:00")
    page = boss.get(f"/notifications/rules/{rule.pk}/").content.decode()
    assert re.search(r'name="clusters"\s+value="east"\s+checked', page)
    assert re.search(r'name="kinds"\s+value="finding"\s+checked', page)
    assert not re.search(r'name="kinds"\s+value="cluster"\s+checked', page)
    assert 'value="22:00"' in page
    assert 'value="a, b"' in page
    boss.post(f"/notifications/rules/{rule.pk}/", {**RULE, "name": "Night", "target": target.pk, "enabled": ""})
    rule.refresh_from_db()
    assert (rule.enabled, rule.clusters, rule.pools, rule.quiet_from) == (False, [], [], None)


def test_a_cluster_that_is_gone_stays_in_its_rule(boss: Any) -> None:
    rule = a_rule(clusters=["long-gone"], kinds=["request"])
    page = boss.get(f"/notifications/rules/{rule.pk}/").content.decode()
    assert 'value="long-gone" checked' in page
    assert 'value="request" checked' in page


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"group_s": "soon"}, "Enter a whole number."),
        ({"group_s": "-1"}, "Give seconds from 0 to 86400."),
        ({"quiet_from": "22:00"}, "Give both ends of the quiet time, or neither."),
        ({"quiet_from": "25:00", "quiet_until": "07:00"}, "Enter a valid time."),
        ({"target": "999"}, "Select a valid choice."),
        ({"min_severity": "awful"}, "Select a valid choice."),
    ],
)
def test_what_is_wrong_with_a_rule_stands_beside_its_field(boss: Any, given: dict[str, str], sentence: str) -> None:
    target = a_target()
    shown = text(boss.post("/notifications/rules/new/", {**RULE, "target": target.pk, **given}), 400)
    assert sentence in shown
    assert not NotificationRule.objects.exists()


def test_a_test_shows_its_result(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    target = a_target("Ops", address="http://127.0.0.1:9/")
    answer = reader.post(f"/notifications/targets/{target.pk}/test/", follow=True)
    assert "Queued." in text(answer)
    assert 'hx-trigger="load delay:1s"' in answer.content.decode()
    send.notify()
    after = reader.get(answer.redirect_chain[-1][0])
    assert "Not delivered, after 1 try" in text(after).replace("\xa0", " ")
    assert "MUSTER_NOTIFY_ALLOW_PRIVATE" in text(after)
    assert "hx-trigger" not in after.content.decode()
    assert "Failed" in text(reader.get("/notifications/"))


def test_the_log_shows_every_state_and_filters(reader: Any) -> None:
    rule = a_rule("R", a_target("Ops"))
    node = a_node("n1")
    states: list[dict[str, Any]] = [
        {"state": "sent", "sent_at": NOON, "tries": 2},
        {"state": "failed", "error": "The receiver answered 404.", "tries": 1},
        {"state": "suppressed", "error": "Its rule was deleted."},
        {"error": "The receiver answered 503.", "tries": 3},
        {"held": True},
    ]
    for number, fields in enumerate(states):
        delivery = a_delivery(rule, **fields)
        DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=a_notice(node=node, title=f"T{number}"))
        text(reader.get(f"/notifications/deliveries/{delivery.pk}/"))
    shown = text(reader.get("/notifications/deliveries/"))
    for words in ("5 messages", "attempt 2", "The receiver answered 404.", "Suppressed", "Retrying", "held: repeat", "T0", "T4"):
        assert words in shown.replace("\xa0", " ")
    failed = text(reader.get("/notifications/deliveries/?state=failed"))
    assert "T1" in failed
    assert "T0" not in failed
    assert "No matching deliveries" in text(reader.get("/notifications/deliveries/?target=nobody"))


def test_the_log_takes_a_constant_number_of_queries(reader: Any, django_assert_max_num_queries: Any) -> None:
    rule = a_rule()

    def fill(count: int) -> None:
        for _ in range(count):
            DeliveryItem.objects.create(delivery=a_delivery(rule), rule=rule, notice=a_notice(node=a_node()))

    fill(2)
    for path, most in (("/notifications/deliveries/", 10), ("/notifications/", 12), ("/api/v1/deliveries/", 6)):
        with django_assert_max_num_queries(most):
            reader.get(path)
        fill(10)
        with django_assert_max_num_queries(most):
            reader.get(path)


def test_the_subject_of_a_message_may_be_deleted(reader: Any) -> None:
    delivery = a_delivery(state="sent", sent_at=NOON)
    assert "Event removed" in text(reader.get(f"/notifications/deliveries/{delivery.pk}/"))
    assert "Event removed" in text(reader.get("/notifications/"))
    delivery.rule.target.delete()
    assert "Event removed" in text(reader.get("/notifications/"))


def test_hostile_texts_stay_texts(boss: Any) -> None:
    target = a_target(BAD, shown=BAD)
    rule = a_rule(BAD, target, clusters=[BAD], products=[BAD], pools=[BAD], kinds=[BAD])
    delivery = a_delivery(rule, error=BAD)
    DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=a_notice(title=BAD, text=BAD, severity="odd", kind=BAD))
    for path in (*PAGES, *FORMS):
        page = boss.get(path.format(delivery=delivery.pk, target=target.pk, rule=rule.pk)).content.decode()
        assert "<img" not in page, path


# --- API --------------------------------------------------------------------------------------------------------------


def test_the_api_creates_changes_and_deletes_targets_and_shows_a_secret_once(boss: Any) -> None:
    given = {"name": "Ops", "kind": "webhook", "address": "https://hooks.example.com/T0KEN"}
    made = boss.post("/api/v1/notification-targets/", json.dumps(given), content_type="application/json")
    assert made.status_code == 201, made.content
    body = made.json()
    assert body["secret"].startswith("mhs_")
    assert "address" not in body
    url = f"/api/v1/notification-targets/{body['id']}/"
    result = boss.get(url)
    assert result.json()["shown"] == "https://hooks.example.com/…"
    assert "secret" not in result.json()
    assert "T0KEN" not in result.content.decode() + boss.get("/api/v1/notification-targets/").content.decode()
    changed = boss.patch(url, json.dumps({"name": "On call"}), content_type="application/json")
    assert (changed.status_code, changed.json()["name"]) == (200, "On call")
    wrong = boss.patch(url, json.dumps({"address": "http://10.0.0.1/"}), content_type="application/json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["address"])
    assert boss.delete(url).status_code == 204
    assert boss.get(url).status_code == 404


def test_the_api_makes_changes_and_deletes_rules(boss: Any) -> None:
    a_target("Ops")
    given = {"name": "R", "target": "Ops", "clusters": ["east"], "quiet_from": "22:00", "quiet_until": "07:00"}
    made = boss.post("/api/v1/notification-rules/", json.dumps(given), content_type="application/json")
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["target"], body["clusters"], body["min_severity"], body["enabled"], body["quiet_from"]) == (
        "Ops", ["east"], "critical", True, "22:00:00",
    )  # fmt: skip
    url = f"/api/v1/notification-rules/{body['id']}/"
    changed = boss.patch(url, json.dumps({"enabled": False, "verdicts": ["unknown"]}), content_type="application/json")
    assert (changed.json()["enabled"], changed.json()["clusters"]) == (False, ["east"])
    for wrong in (
        {"verdicts": ["ready"]},
        {"target": "nobody"},
        {"group_s": -5},
        {"min_severity": "awful"},
        {"clusters": "east"},
    ):
        refused = boss.patch(url, json.dumps(wrong), content_type="application/json")
        assert (refused.status_code, list(refused.json()["errors"])) == (400, list(wrong)), refused.content
    again = boss.post("/api/v1/notification-rules/", json.dumps({"name": "R", "target": "Ops"}), content_type="application/json")
    assert (again.status_code, list(again.json()["errors"])) == (400, ["name"])
    assert boss.get("/api/v1/notification-rules/?target=Ops&enabled=false").json()["results"][0]["name"] == "R"
    assert boss.delete(url).status_code == 204


def test_the_api_lists_deliveries(reader: Any) -> None:
    rule = a_rule("R", a_target("Ops"))
    delivery = a_delivery(rule, state="failed", error="The receiver answered 404.", tries=1)
    DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=a_notice("verdict", node=a_node("n1"), title="bad"))
    a_delivery(rule, state="sent")
    (row,) = reader.get("/api/v1/deliveries/?state=failed&target=Ops&test=false").json()["results"]
    assert (row["uid"], row["error"], row["tries"]) == (str(delivery.uid), "The receiver answered 404.", 1)
    assert row["notices"][0]["node"] == "n1"
    facets = reader.get("/api/v1/deliveries/facets/").json()["facets"]
    assert facets["state"] == [{"value": "failed", "count": 1}, {"value": "sent", "count": 1}]
    assert reader.get(f"/api/v1/deliveries/{delivery.pk}/").json()["state"] == "failed"
    assert reader.get("/api/v1/deliveries/999999/").status_code == 404
    lines = b"".join(reader.get("/api/v1/deliveries/?format=csv").streaming_content).splitlines()
    assert len(lines) == 3


def test_the_api_sends_tests(reader: Any) -> None:
    target = a_target()
    answer = reader.post(f"/api/v1/notification-targets/{target.pk}/test/")
    assert answer.status_code == 202
    assert Delivery.objects.get(pk=answer.json()["delivery"]).is_test


@pytest.mark.parametrize(("role", "read", "write"), [("viewer", 403, 403), ("operator", 200, 403), ("admin", 200, 400)])
def test_the_api_asks_for_roles(client: Any, role: str, read: int, write: int) -> None:
    client.force_login(User.objects.create(username="x", role=role))
    for path in ("notification-targets", "notification-rules", "deliveries"):
        assert client.get(f"/api/v1/{path}/").status_code == read
        assert client.get(f"/api/v1/{path}/facets/").status_code == read
    for path in ("notification-targets", "notification-rules"):
        assert client.post(f"/api/v1/{path}/", "{}", content_type="application/json").status_code == write


def test_an_inbox_keeps_what_a_messenger_would_get_and_needs_no_address(boss: Any) -> None:
    form = {"name": "Channel", "kind": "inbox", "address": ""}
    assert boss.post("/notifications/targets/new/", form).status_code == 302
    target = NotificationTarget.objects.get(name="Channel")
    answer = boss.post("/notifications/targets/new/", {**form, "name": "Two", "address": "slack://x"})
    assert "An inbox has no address" in text(answer, 400)
    page = f"/notifications/targets/{target.pk}/inbox/"
    assert "Without a rule, an inbox gets test messages only." in text(boss.get(page))
    node = a_node("n1", a_cluster("east"))
    delivery = a_delivery(a_rule("All", target))
    for hour in (1, 2):
        notice = a_notice(at=NOON.replace(hour=hour), node=node, cluster=node.cluster, title=f"{BAD} at {hour}")
        DeliveryItem.objects.create(delivery=delivery, rule=delivery.rule, notice=notice)
    assert send._deliver(delivery, NOON).ok
    Delivery.objects.update(state="sent", sent_at=NOON)
    answer = boss.get(page)
    assert f"• 01:00 {BAD} at 1" in text(answer)
    assert BAD not in answer.content.decode()
    assert "1 message" in text(answer)
    other = a_target("Hook", kind="webhook")
    assert boss.get(f"/notifications/targets/{other.pk}/inbox/").status_code == 404
