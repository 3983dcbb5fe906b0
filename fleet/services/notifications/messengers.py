"""Messengers: chat, e-mail and paging through Apprise, limited to addresses that can only send a message.

Apprise knows over a hundred kinds of addresses; some write files, run programs or read templates from disk. Only the kinds and
parameters named here are taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from fleet.collectors.deadline import Deadline
from fleet.collectors.timed_responses import time_every_pool, until
from fleet.domain.refusals import FieldError
from fleet.services.notifications import guard, neutral
from fleet.services.notifications.messages import Message
from fleet.services.notifications.outcomes import Sent
from fleet.services.notifications.timed_mail import time_every_mail

if TYPE_CHECKING:
    import apprise

WHOLE_S, MOST_BYTES = 30.0, 64 * 1024
"""For one message with all that its service is asked for, and for each answer as it comes over the network."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of address: its label, an example, and which parameters it may have."""

    label: str
    example: str
    parameters: frozenset[str]
    host_field: str = ""
    """The part of the parsed address that names a host of its own; empty where the service's own host is meant."""


_COMMON = frozenset({"format", "overflow", "verify", "image"})


def _kind(label: str, example: str, *parameters: str, host: str = "") -> Kind:
    return Kind(label, example, _COMMON | set(parameters), host)


_MAIL = _kind(
    "E-mail", "mailtos://user:password@smtp.example.com/?from=muster@example.com&to=oncall@example.com",
    "to", "cc", "bcc", "from", "name", "smtp", "mode", "reply", "user", "pass", "port", host="smtp_host",
)  # fmt: skip
_TEAMS = _kind(
    "Microsoft Teams", "workflows://prod-01.westeurope.logic.azure.com:443/WORKFLOW/SIGNATURE",
    "id", "sig", "api-version", "ver", "route", "routeid", "wrap", "pa", "powerautomate", host="host",
)  # fmt: skip
_MATTERMOST = _kind("Mattermost", "mmosts://chat.example.com/TOKEN", "to", "channel", "channels", "team", "mode", host="host")
_ROCKET = _kind("Rocket.Chat", "rockets://TOKENA/TOKENB@chat.example.com/#channel", "to", "mode", "webhook", host="host")
_NTFY = _kind("ntfy", "ntfys://ntfy.example.com/topic", "to", "priority", "xtags", "mode", "auth", "token", host="host")
_GOTIFY = _kind("Gotify", "gotifys://gotify.example.com/TOKEN", "priority", host="host")
_WEBEX = _kind("Webex", "webex://TOKEN", "to", "mode", "token")
_ONCALL = _kind("Splunk On-Call", "splunk://ROUTING_KEY@API_KEY", "route", "routing_key", "entity_id", "action", "apikey")
KINDS: dict[str, Kind] = {
    "slack": _kind("Slack", "slack://TOKEN_A/TOKEN_B/TOKEN_C/#channel", "to", "footer", "mode", "token", "timestamp", "blocks"),
    "workflow": _TEAMS,
    "workflows": _TEAMS,
    "mailto": _MAIL,
    "mailtos": _MAIL,
    "pagerduty": _kind(
        "PagerDuty", "pagerduty://INTEGRATION_KEY@API_KEY", "region", "severity", "class", "group", "click", "action", "dedup"
    ),
    "opsgenie": _kind("Opsgenie", "opsgenie://API_KEY", "region", "priority", "tags", "to", "entity", "alias", "action"),
    "splunk": _ONCALL,
    "victorops": _ONCALL,
    "discord": _kind("Discord", "discord://WEBHOOK_ID/TOKEN", "footer", "thread", "tts", "flags"),
    "tgram": _kind("Telegram", "tgram://BOT_TOKEN/CHAT_ID", "to", "silent", "preview", "thread", "topic"),
    "gchat": _kind("Google Chat", "gchat://WORKSPACE/KEY/TOKEN", "thread", "key", "token", "workspace"),
    "mmost": _MATTERMOST,
    "mmosts": _MATTERMOST,
    "rocket": _ROCKET,
    "rockets": _ROCKET,
    "webex": _WEBEX,
    "wxteams": _WEBEX,
    "zulip": _kind("Zulip", "zulip://BOT@ORGANISATION/TOKEN/stream", "to", "token"),
    "ntfy": _NTFY,
    "ntfys": _NTFY,
    "gotify": _GOTIFY,
    "gotifys": _GOTIFY,
    "pover": _kind("Pushover", "pover://USER_KEY@TOKEN", "to", "priority", "sound"),
}


def check(address: str) -> str:
    """Checks an address and returns it as it may be shown, without its secrets. Raises FieldError or guard.RefusedError."""
    plugin, kind = _open(address)
    host = _host(plugin, kind)
    if host:
        guard.check_host(host)
    people = ", ".join(
        sorted({str(to[1]) for to in getattr(plugin, "targets", ()) if isinstance(to, tuple | list) and len(to) > 1})
    )
    where = f" through {host}" if host and people else f" on {host}" if host else ""
    return f"{kind.label}{f' to {people}' if people else ''}{where}"[:300]


def send(address: str, message: Message) -> Sent:
    """Sends once. Apprise returns whether it worked; its log has the reason."""
    try:
        plugin, kind = _open(address)
    except FieldError as error:
        return Sent(False, str(error), lasting=True)
    if kind.label == "PagerDuty" and message.key and not plugin.dedup:
        plugin.dedup = message.key[:255]  # the recovery resolves the alert
    library = _library()
    sender = library.Apprise(asset=plugin.asset)
    sender.add(plugin)
    deadline = Deadline(WHOLE_S)
    with guard.only_outside() as watch, _listening() as value, until(deadline, MOST_BYTES):
        done = sender.notify(
            title=neutral.line(message.title),
            body=neutral.body(message.text or message.title),
            notify_type=message.tone,
            body_format=library.NotifyFormat.TEXT,
        )
    if done:
        return Sent(True)
    if watch.refused:
        return Sent(False, watch.refused, lasting=True)
    if deadline.spent:
        return Sent(False, f"The service did not take the message within {WHOLE_S:.0f} s.")
    return Sent(False, _without(address, " ".join(value)) or "The service did not accept the message.")


def _open(address: str) -> tuple[Any, Kind]:
    """The plugin of an address, once its kind and its parameters are known to be harmless."""
    from apprise.plugins import url_to_dict

    library = _library()
    with _listening():
        parsed = url_to_dict(address)
        if not parsed:
            raise FieldError("address", f"Not the address of a known messenger. Known messengers: {', '.join(known_labels())}.")
        kind = KINDS.get(parsed["schema"])
        if kind is None:
            raise FieldError("address", f"Addresses of this kind are not supported. Supported: {', '.join(known_labels())}.")
        odd = sorted(_parameters(parsed) - kind.parameters)
        if odd:
            raise FieldError("address", f"{kind.label} addresses may not contain {', '.join(odd)}.")
        try:
            plugin = library.Apprise.instantiate(parsed, asset=_asset(), suppress_exceptions=False)
        except (TypeError, ValueError, AttributeError) as error:
            raise FieldError("address", f"Incomplete {kind.label} address. Example: {kind.example}") from error
    if plugin is None:
        raise FieldError("address", f"{kind.label} cannot be used here: a library it needs is not installed.")
    return plugin, kind


def _parameters(parsed: dict[str, Any]) -> set[str]:
    """Names of everything behind the question mark, as Apprise itself reads them; +name, -name and :name too."""
    plain = {str(name).lower() for name in parsed.get("qsd") or ()}
    return plain | {f"{sign}{name}" for sign in "+-:" for name in parsed.get(f"qsd{sign}") or ()}


def _host(plugin: Any, kind: Kind) -> str:
    if not kind.host_field or getattr(plugin, "mode", "") == "cloud":
        return ""
    return str(getattr(plugin, kind.host_field, "") or "")


def known_labels() -> list[str]:
    return sorted({kind.label for kind in KINDS.values()})


def examples() -> list[tuple[str, str]]:
    """(label, example) of every kind, once."""
    return sorted({(kind.label, kind.example) for kind in KINDS.values()})


@cache
def _library() -> Any:
    # Half a second and a hundred modules: imported only to send or check an address.
    import apprise

    time_every_pool()  # Apprise asks through requests, which bounds each wait for bytes and no answer as a whole
    time_every_mail()
    return apprise


@cache
def _asset() -> apprise.AppriseAsset:
    from apprise.common import PersistentStoreMode

    return _library().AppriseAsset(
        app_id="Muster",
        app_desc="Muster",
        app_url=settings.PUBLIC_URL or "",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,  # in this thread, where the guard looks
        http_redirects=False,
        storage_mode=PersistentStoreMode.MEMORY,
        pgp_autogen=False,
        pem_autogen=False,
        plugin_paths=None,
    )


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Captures Apprise's log, and keeps it from other handlers: its lines may contain parts of an address."""
    rows: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            rows.append(record.getMessage())

    logger, ear = logging.getLogger("apprise"), Ear(logging.WARNING)
    before = logger.propagate
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield rows
    finally:
        logger.removeHandler(ear)
        logger.propagate = before


def _without(address: str, text: str) -> str:
    """A reason without any part of the address that is long enough to be a secret."""
    from urllib.parse import unquote

    rest = address.partition("://")[2]
    for mark in "/@?&=#":
        rest = rest.replace(mark, " ")
    for part in {*rest.split(), *unquote(rest).split(), *(bit for word in rest.split() for bit in word.split(":"))}:
        if len(part) >= 6 and "." not in part:
            text = text.replace(part, "…")
    return text[:500]
