from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from fleet.models import NotificationTarget, Role
from fleet.selectors.muster.support import Redaction
from fleet.services import sign_in, tokens
from fleet.services.notifications import targets
from tests.factories import a_cluster, a_run

pytestmark = pytest.mark.django_db
SECRETS = {
    "SECRET_KEY": "secret-key-of-this-installation",
    "METRICS_TOKEN": "token-of-the-metrics",
    "PROMETHEUS_TOKEN": "token-of-prometheus",
    "AUDIT_WEBHOOK_SECRET": "secret-of-the-audit-webhook",
    "DATABASE_URL": "postgres://muster:password-of-postgres@db/muster",
    "MUSTER_BROKER_URL": "redis://:password-of-valkey@valkey:6379/0",
    "AUDIT_WEBHOOK": "https://siem.example.com/hook?code=code-of-the-siem",
}
TELLTALE = (
    "secret-key-of-this-installation", "old-key-of-this-installation", "token-of-the-metrics", "token-of-prometheus",
    "secret-of-the-audit-webhook", "password-of-postgres", "password-of-valkey", "code-of-the-siem", "password-in-an-error",
    "token-in-a-log", "hooks.example.com/services/path-with-a-token",
)  # fmt: skip


@pytest.fixture
def bundle(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, admin_user: Any) -> tuple[dict[str, str], list[str]]:
    """The texts of a bundle by name, and the secrets that were made on the way."""
    _, token = tokens.create_from_command_line("ada", datetime.now(UTC), role=Role.ADMIN, lifetime=None)
    link = sign_in.create_owner_link("http://127.0.0.1:8000")
    monkeypatch.setattr("fleet.services.notifications.guard.check_host", lambda host, **_: None)
    admin_user.role = Role.ADMIN
    targets.create(
        admin_user, name="Chat", kind="webhook", address="https://hooks.example.com/services/path-with-a-token", secret="s" * 24
    )
    for name, value in SECRETS.items():
        setattr(settings, name, value)
    settings.SECRET_KEY_FALLBACKS = ["old-key-of-this-installation"]
    settings.MUSTER_HOME = tmp_path
    a_run(a_cluster("east"), outcome="failed", error="https://user:password-in-an-error@api.example.com refused")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "web.log").write_text(
        f"GET {link}\nAuthorization: Bearer token-in-a-log\n{token}\npostgres://a:b-c-d-e-f@db\n"
    )
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # entries take their place in the chain, as when it ends
    target = tmp_path / "bundle.tar.gz"
    call_command("support_bundle", output=str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as archive:
        texts = {item.name.removeprefix("muster-support/"): archive.extractfile(item).read().decode() for item in archive}  # type: ignore[union-attr]
    return texts, [token, link.rstrip("/").rsplit("/", 1)[-1], "s" * 24, "b-c-d-e-f"]


def test_no_secret_is_in_the_bundle(bundle: tuple[dict[str, str], list[str]]) -> None:
    texts, made = bundle
    whole = "\n".join(texts.values())
    for secret in (*TELLTALE, *made):
        assert secret not in whole, secret
    assert bytes(NotificationTarget.objects.get().address).decode() not in whole


def test_it_says_what_a_helper_asks_first(bundle: tuple[dict[str, str], list[str]]) -> None:
    texts, _ = bundle
    assert set(texts) == {"about.json", "settings.json", "clusters.json", "runs.json", "failed-deliveries.json", "log/web.log"}
    about = json.loads(texts["about.json"])
    assert about["postgres"].startswith("18")
    assert about["packages"]["Django"]
    assert "0001_initial" in about["migrations"]
    assert about["audit"]["breaches"] == []
    run = json.loads(texts["runs.json"])[0]
    assert (run["cluster"], run["outcome"], "refused" in run["error"]) == ("east", "failed", True)
    assert "COLLECT_INTERVAL" in json.loads(texts["settings.json"])
    assert "Bearer [removed]" in texts["log/web.log"]


def test_short_values_are_no_secrets_that_would_eat_the_text(settings: Any) -> None:
    settings.METRICS_TOKEN = "a"
    assert Redaction()("a banana") == "a banana"
