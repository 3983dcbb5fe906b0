"""Reads the environment: every value is checked once, and an invalid one stops the start with a sentence that states the fix."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import sys
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from fleet.domain.incidents.links import LinkTemplate


def text(name: str, default: str = "") -> str:
    """The value of NAME, or the content of the file that NAME_FILE points at; surrounding white space is dropped."""
    path = os.environ.get(f"{name}_FILE", "").strip()
    if path and not os.environ.get(name):
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE points at {path}, which cannot be read ({error.strerror}). Give a readable file or set {name}."
            ) from error
        except UnicodeDecodeError:
            raise ImproperlyConfigured(
                f"{name}_FILE points at {path}, which is not text. Write the value into it as text (UTF-8) or set {name}."
            ) from None
        if not value:  # a missing secret must not be taken for an omitted one
            raise ImproperlyConfigured(f"{name}_FILE points at {path}, which is empty. Write the value into it or set {name}.")
        return value
    return os.environ.get(name, "").strip() or default


SECRETS = (
    *("SECRET_KEY", "SECRET_KEY_FALLBACKS", "MUSTER_DATABASE_PASSWORD", "MUSTER_BROKER_PASSWORD", "OIDC_CLIENT_SECRET"),
    *("MUSTER_METRICS_TOKEN", "MUSTER_PROMETHEUS_TOKEN", "MUSTER_AUDIT_WEBHOOK_SECRET"),
)
"""Secret settings: docker-compose.yml reads them from files only."""


def role() -> str:
    """Returns what this process does: web, worker (also beat), or command for everything else."""
    words = [Path(word).name for word in sys.argv[:2]] + list(sys.orig_argv)
    if "fleet.embedded.web" in words:
        return "web"
    return "worker" if "celery" in words else "command"


def integer(name: str, default: int, *, at_least: int, at_most: int) -> int:
    """A whole number within its bounds."""
    raw = text(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {raw!r}: give a whole number, or leave it out for {default}.") from None
    if not at_least <= value <= at_most:
        raise ImproperlyConfigured(f"{name} is {value}: give a number from {at_least} to {at_most}.")
    return value


def boolean(name: str, default: bool) -> bool:
    raw = text(name).lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}: give 1 or 0.")


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    value = text(name, default)
    lower = {item.lower(): item for item in choices}.get(value.lower())
    if lower is None:
        raise ImproperlyConfigured(f"{name} is {value!r}: give one of {', '.join(choices)}.")
    return lower


def words(name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A comma-separated list."""
    raw = text(name)
    return tuple(word.strip() for word in raw.split(",") if word.strip()) if raw else default


def links(name: str) -> tuple[LinkTemplate, ...]:
    """Templates of addresses with their names: `Grafana=https://g.example.com/d/x?node={node} | Console=https://…`."""
    rows = []
    for part in filter(None, (part.strip() for part in text(name).split(" | "))):
        label, _, template = part.partition("=")
        link = LinkTemplate(label.strip(), template.strip())
        if problem := link.problem():
            raise ImproperlyConfigured(
                f"{name}: {part[:80]!r} cannot be used, {problem}. Write NAME=https://… with ` | ` between two links."
            )
        rows.append(link)
    return tuple(rows)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(name: str) -> tuple[tuple[Network, ...], tuple[str, ...]]:
    """A comma-separated list of addresses and networks, and beside them the host names in it (lower case)."""
    nets: list[Network] = []
    hosts: list[str] = []
    for word in words(name):
        try:
            nets.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            if not re.fullmatch(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?", word) or re.fullmatch(
                r"[0-9.]+", word
            ):
                raise ImproperlyConfigured(
                    f"{name} contains {word!r}: give networks (10.20.0.0/16), addresses or host names, separated by commas."
                ) from None
            hosts.append(word.lower())
    return tuple(nets), tuple(hosts)


def rate(name: str, default: str) -> str:
    """A number per second, minute, hour or day, as 6000/min."""
    value = text(name, default)
    if not re.fullmatch(r"[1-9][0-9]{0,8}/(s|sec|second|m|min|minute|h|hour|d|day)", value, re.ASCII):
        raise ImproperlyConfigured(f"{name} is {value!r}: give a number and a time, as {default} (s, min, hour or day).")
    return value


def url(name: str, default: str, schemes: tuple[str, ...], *, like: str, host: bool = True) -> str:
    """A URL of one of the given schemes, with a host unless it may do without.

    The value may contain a password, so the sentence never repeats it, but shows an example, `like`.
    """
    value = text(name, default)
    if not value:
        return value
    try:
        split = urlsplit(value)
        split.port  # noqa: B018  reads it, and raises where it is no number
    except ValueError:
        raise ImproperlyConfigured(f"{name} cannot be read, its host or port is wrong: write it as {like}.") from None
    if split.scheme not in schemes:
        raise ImproperlyConfigured(f"{name} must begin with {' or '.join(s + '://' for s in schemes)}.")
    if host and not split.hostname:
        raise ImproperlyConfigured(f"{name} names no host: write it as {like}.")
    return value


def with_password(url: str, password: str) -> str:
    """Returns a URL with this password, whatever characters it has, in place of one that may be in it."""
    split = urlsplit(url)
    if not password or split.hostname is None:
        return url
    host = split.netloc.rpartition("@")[2]
    return split._replace(netloc=f"{quote(unquote(split.username or ''), safe='')}:{quote(password, safe='')}@{host}").geturl()


def broker(name: str, default: str, password: str = "") -> str:
    """Redis by address or by socket, or RabbitMQ; with the password that is given apart, if any."""
    like = "redis://host:6379/0 or amqp://user:password@host:5672//"
    value = url(name, default, ("redis", "rediss", "redis+socket", "amqp", "amqps"), like=like, host=False)
    split = urlsplit(value)
    if not (split.path.strip("/") if split.scheme == "redis+socket" else split.hostname):
        raise ImproperlyConfigured(f"{name} names no host: write it as {like}.")
    database = split.path.partition(";")[0]  # followed by alternatives, for failover
    if split.scheme in ("redis", "rediss") and not re.fullmatch(r"/?[0-9]*", database, re.ASCII):
        raise ImproperlyConfigured(f"{name} must end in the number of a database: write it as {like}.")
    return with_password(value, password)


def application_name(secret_key: str) -> str:
    """Returns the name of our database connections, with a digest of the key: selectors/installations.py tells whose they are."""
    if not secret_key:
        return "muster"
    return "muster " + hmac.new(secret_key.encode(), b"muster-installation", "sha256").hexdigest()[:16]
