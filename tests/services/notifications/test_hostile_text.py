"""Text of a cluster as it reaches each channel: a name written by a tenant cannot mention people or link."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from fleet.services.notifications import guard, messengers, webhooks
from fleet.services.notifications.messages import Message
from tests.services.notifications.receivers import http_receiver, smtp_receiver

HOSTILE = (
    "<!channel> <https://evil.example|Muster> @everyone @here [Muster](https://evil.example) [Muster][x] <b>b</b> "
    "<script>x</script> <@U123> `code` \u202egnp.exe"
)
MESSAGE = Message(f"n1\r\nBcc: eve@example.com {HOSTILE}", f"{HOSTILE}\nsecond line", "failure", "", {"id": "d1"})
ACTIVE = ("<!", "<@", "<http", "<b>b", "<script", "@everyone", "@here", "](", "][", "\u202e", "`code`")
ADDRESSES = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
    "workflows": "workflows://prod-01.westeurope.logic.azure.com:443/" + "a" * 32 + "/" + "b" * 43,
    "mmosts": "mmosts://chat.example.com/" + "a" * 26,
    "rockets": "rockets://tokenA/tokenB@chat.example.com/#general",
    "discord": "discord://" + "1" * 19 + "/" + "a" * 68,
    "tgram": "tgram://123456789:" + "a" * 35 + "/12315544/",
    "gchat": "gchat://workspace/key/token",
    "webex": "webex://" + "a" * 80,
    "zulip": "zulip://bot@organisation/" + "a" * 32 + "/stream",
    "ntfys": "ntfys://ntfy.example.com/topic",
    "gotifys": "gotifys://gotify.example.com/TOKEN",
    "pover": "pover://" + "u" * 30 + "@" + "t" * 30,
    "pagerduty": "pagerduty://" + "i" * 32 + "@" + "a" * 20,
    "opsgenie": "opsgenie://" + "a" * 36,
    "splunk": "splunk://route@" + "a" * 36,
}


class Answer(requests.Response):
    def __init__(self) -> None:
        super().__init__()
        self.status_code, self._content = 200, b'{"ok": true, "result": "success", "status": 1}'


def test_every_kind_of_address_is_looked_at() -> None:
    """E-mail has a test of its own; kinds that are one service under two names are looked at once."""
    other_names = {"workflow": "workflows", "mmost": "mmosts", "rocket": "rockets", "wxteams": "webex", "ntfy": "ntfys"}
    other_names |= {"gotify": "gotifys", "victorops": "splunk", "mailto": "", "mailtos": ""}
    assert set(messengers.KINDS) == set(ADDRESSES) | set(other_names)


@pytest.mark.parametrize("kind", ADDRESSES)
def test_a_messenger_receives_no_markup(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def request(self: Any, method: str, url: str, **more: Any) -> Answer:
        sent.append(flat(more.get("json")) + flat(more.get("data")) + flat(more.get("params")) + flat(more.get("headers")))
        return Answer()

    monkeypatch.setattr(requests.Session, "request", request)
    messengers.send(ADDRESSES[kind], MESSAGE)
    assert sent, "nothing was sent"
    text = "\n".join(sent)
    assert "n1 Bcc: eve" in text
    for active in ACTIVE:
        assert active not in text, active


def flat(data: Any) -> str:
    """Every text of a request, as its receiver reads it."""
    if isinstance(data, bytes):
        data = data.decode()
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            return data
    if isinstance(data, dict):
        return "\n".join(flat(value) for value in data.values())
    if isinstance(data, list | tuple):
        return "\n".join(map(flat, data))
    return "" if data is None else str(data)


def test_a_mail_has_one_subject_line_and_no_tags(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.NOTIFY_ALLOWED_HOSTS = frozenset({"127.0.0.1", "localhost"})
    monkeypatch.setattr(guard, "refusal", lambda address: "")
    with smtp_receiver() as box:
        address = f"mailto://127.0.0.1:{box.port}/?from=muster@example.com&to=oncall@example.com&mode=insecure"
        assert messengers.send(address, MESSAGE).ok
    ((_, to, mail),) = box.mails
    assert to == ["oncall@example.com"]
    assert mail["Bcc"] is None
    assert "\n" not in str(mail["Subject"]).strip()
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            text = part.get_payload(decode=True).decode()  # type: ignore[union-attr]
            for active in ("<script", "<b>b", 'href="https://evil', "@everyone", "\u202e"):
                assert active not in text, active


def test_a_webhook_receives_the_text_as_it_is(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has no markup: what a receiver makes of it is the receiver's to escape."""
    monkeypatch.setattr(guard, "refusal", lambda address: "")
    with http_receiver() as receiver:
        message = Message("t", "t", "info", "", {"id": "d1", "text": HOSTILE})
        assert webhooks.send(receiver.url, "s" * 20, message, datetime.now(UTC)).ok
    assert json.loads(receiver.requests[0].body)["text"] == HOSTILE
