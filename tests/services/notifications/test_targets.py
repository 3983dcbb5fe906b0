"""What is taken as a target, what is shown of it, and who changed it."""

from __future__ import annotations

import ipaddress
from datetime import time
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from fleet.domain.refusals import FieldError
from fleet.models import AuditEntry, Delivery, NotificationRule, NotificationTarget
from fleet.services.notifications import guard, messengers, rules, targets, webhooks
from tests.factories import NOON, a_delivery, a_rule, a_target

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _names_lead_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks a real name server."""

    def check(host: str) -> None:
        if host in ("localhost", "db.internal") or host.replace(".", "").isdigit():
            raise guard.RefusedError(f"{host} is inside.")

    monkeypatch.setattr(guard, "check_host", check)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#gpu", "Slack"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack"),
        ("mailtos://bot:hunter2@smtp.example.com/?from=m@example.com&to=oncall@example.com",
         "E-mail to oncall@example.com through smtp.example.com"),
        ("pagerduty://A1234567890123456789012345678901@B1234567890123456789", "PagerDuty"),
        ("workflows://prod-1.westeurope.logic.azure.com:443/643e69f83c8944438d68119179a10a64/KODuebWbDGYFr0z0eu",
         "Microsoft Teams on prod-1.westeurope.logic.azure.com"),
        ("mmosts://chat.example.com/3ccdd113474722377935511fc85d3dd4", "Mattermost on chat.example.com"),
        ("ntfy://topic", "ntfy"),
        ("ntfys://ntfy.example.com/topic", "ntfy on ntfy.example.com"),
    ],
)  # fmt: skip
def test_messengers_are_shown_without_their_secrets(address: str, shown: str) -> None:
    assert messengers.check(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd", "json://example.com/x", "xml://example.com", "form://example.com", "syslog://localhost",
        "dbus://", "windows://", "gnome://", "macosx://", "mqtt://example.com/topic", "rsyslog://example.com", "smpp://u:p@h/1/2",
        "include://x", "https://example.com/hook", "nonsense", "", "slack://", "slack://short",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/passwd",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?%74emplate=/etc/passwd",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?:token=x",
        "workflows://prod-1.logic.azure.com:443/643e69f83c8944438d68119179a10a64/KODuebWbDGYFr0z0eu?template=file:///etc/passwd",
        "mailto://user:pass@example.com?pgp=yes&pgppub=/etc/passwd", "mailto://u:p@example.com?+X-Header=1",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?redirect=yes",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?rto=86400",
        "ntfys://ntfy.example.com/topic?attach=file:///etc/passwd",
    ],
)  # fmt: skip
def test_what_can_do_more_than_send_a_message_is_not_taken(address: str) -> None:
    with pytest.raises(FieldError) as refused:
        messengers.check(address)
    assert "passwd" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "mmost://db.internal/3ccdd113474722377935511fc85d3dd4", "mailto://u:p@example.com?smtp=db.internal",
        "ntfy://db.internal/topic", "gotify://10.0.0.1/Abcdefghijklmno", "rocket://u:p@localhost/#c",
    ],
)  # fmt: skip
def test_messengers_of_ones_own_are_asked_where_they_live(address: str) -> None:
    with pytest.raises(guard.RefusedError):
        messengers.check(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://hooks.example.com/services/T0KEN?key=s3cret", "https://hooks.example.com/…"),
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("http://hooks.example.com:8080/", "http://hooks.example.com:8080"),
        ("https://[2606:4700::1]:8443/x", "https://[2606:4700::1]:8443/…"),
    ],
)
def test_webhooks_are_shown_without_path(address: str, shown: str) -> None:
    assert webhooks.check(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "ftp://example.com", "file:///etc/passwd", "https://", "https:///x", "example.com", "https://u:p@example.com/",
        "https://example.com/#x", "https://example.com/a b", "https://example.com:99999/", "https://[::1", "https://a\r\nX: y/",
        "gopher://example.com", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_odd_webhooks_are_not_taken(address: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        webhooks.check(address)


def test_a_webhook_gets_a_secret_that_is_shown_once(operator: Any) -> None:
    target, secret = targets.create(operator, name=" Ops ", kind="webhook", address="https://hooks.example.com/T0KEN")
    target.refresh_from_db()
    assert target.name == "Ops"
    assert len(secret) > 40
    assert targets.open_address(target) == ("https://hooks.example.com/T0KEN", secret)
    assert b"T0KEN" not in bytes(target.address)
    assert b"hooks" not in bytes(target.address)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.actor_name) == ("notification_target.create", "Ops", "otto")
    assert "T0KEN" not in str(entry.detail)
    assert secret not in str(entry.detail)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "taken"}, "name"),
        ({"address": ""}, "address"),
        ({"address": "http://10.0.0.1/"}, "address"),
        ({"address": "https://e.example/" + "x" * 3000}, "address"),
        ({"kind": "carrier pigeon"}, "kind"),
        ({"secret": "short"}, "secret"),
        ({"kind": "apprise", "address": "ntfy://topic", "secret": "x" * 20}, "secret"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(operator: Any, fields: dict[str, str], wrong: str) -> None:
    a_target("taken")
    given = {"name": "ops", "kind": "webhook", "address": "https://hooks.example.com/x", **fields}
    with pytest.raises(ValidationError) as refused:
        targets.create(operator, **given)
    assert list(refused.value.message_dict) == [wrong]
    assert NotificationTarget.objects.count() == 1
    assert not AuditEntry.objects.exists()


def test_changing_keeps_what_is_left_empty(operator: Any) -> None:
    target, secret = targets.create(operator, name="ops", kind="webhook", address="https://hooks.example.com/one")
    targets.update(operator, target, name="on call")
    target.refresh_from_db()
    assert target.name == "on call"
    assert targets.open_address(target) == ("https://hooks.example.com/one", secret)
    targets.update(operator, target, address="https://other.example.com/two", secret="n3w-n3w-n3w-n3w-n3w")
    target.refresh_from_db()
    assert targets.open_address(target) == ("https://other.example.com/two", "n3w-n3w-n3w-n3w-n3w")
    assert target.shown == "https://other.example.com/…"
    assert AuditEntry.objects.filter(action="notification_target.change").count() == 2


def test_deleting_takes_the_rules_and_keeps_the_log(operator: Any) -> None:
    rule = a_rule("r", a_target("ops"))
    a_delivery(rule, state="sent")
    a_delivery(rule)
    targets.delete(operator, rule.target)
    assert not NotificationRule.objects.exists()
    sent, dropped = Delivery.objects.order_by("pk")
    assert (sent.state, sent.target_name, sent.rule_name) == ("sent", "ops", "r")
    assert (dropped.state, dropped.error) == ("suppressed", "Its target was deleted.")


def test_rules_are_checked_kept_and_audited(operator: Any) -> None:
    target = a_target("ops")
    rule = rules.save(
        operator, None, {"name": "r", "target": target, "clusters": ["east"], "quiet_from": time(22), "quiet_until": time(7)}
    )
    rules.save(operator, rule, {"enabled": False})
    rules.delete(operator, rule)
    entries = AuditEntry.objects.order_by("pk")
    assert [entry.action.partition(".")[2] for entry in entries] == ["create", "change", "delete"]
    assert entries[1].detail["before"]["enabled"] is True
    assert entries[1].detail["after"]["enabled"] is False


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"name": "taken"}, "name"),
        ({"target": None}, "target"),
        ({"clusters": "east"}, "clusters"),
        ({"products": [7]}, "products"),
        ({"verdicts": ["ready"]}, "verdicts"),
        ({"min_severity": "awful"}, "min_severity"),
        ({"group_s": -1}, "group_s"),
        ({"repeat_s": 100_000}, "repeat_s"),
        ({"quiet_from": time(1)}, "quiet_until"),
        ({"quiet_until": time(1)}, "quiet_from"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_rule_that_makes_no_sense(operator: Any, fields: dict[str, Any], wrong: str) -> None:
    a_rule("taken")
    with pytest.raises(ValidationError) as refused:
        rules.save(operator, None, {"name": "r", "target": a_target(), **fields})
    assert list(refused.value.message_dict) == [wrong]


def test_a_rule_that_is_switched_off_sends_nothing_more(operator: Any) -> None:
    rule = a_rule()
    waiting = a_delivery(rule, at=NOON)
    rules.save(operator, rule, {"enabled": False})
    waiting.refresh_from_db()
    assert waiting.state == "suppressed"


def test_the_setting_takes_networks_and_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from fleet.config import env

    monkeypatch.setenv("ALLOWED", "10.0.0.0/8, 192.168.1.7,fd00::/8, Chat.example.com,mattermost")
    networks, hosts = env.networks("ALLOWED")
    assert networks[:2] == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("192.168.1.7/32"))
    assert hosts == ("chat.example.com", "mattermost")
    for wrong in ("10.0.0.0/99", "10.0.0.256", "https://chat.example.com", "a b", "-x"):
        monkeypatch.setenv("ALLOWED", wrong)
        with pytest.raises(ImproperlyConfigured, match="ALLOWED contains"):
            env.networks("ALLOWED")
