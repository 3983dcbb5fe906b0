"""Every write of the URL map leaves an entry in the audit log when it succeeds, with what was before and what is after."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from fleet.models import AuditEntry
from tests.access.addresses import NOBODY, addresses, filled
from tests.access.scene import Scene, a_scene
from tests.access.test_roles import KEPT
from tests.access.writes import NO_SUCH, WRITES, ShownBy, Unchanged, Write

ROOT = Path(__file__).resolve().parents[2]
READS = ("GET",)
EXISTING = NOBODY | {"cluster": "east", "name": "n0", "code": "79", "rung": "cuda_works"}


def test_every_write_of_the_url_map_has_an_entry() -> None:
    """roles.json, which test_roles.py holds against the URL map, names the methods of each address."""
    writes = {(name, method) for name, rows in json.loads(KEPT.read_text()).items() for method in rows if method not in READS}
    assert set(WRITES) == writes, "an address that writes needs an entry in tests/access/writes.py"


@pytest.mark.parametrize("entry", sorted({entry.test for entry in WRITES.values() if isinstance(entry, ShownBy)}))
def test_what_another_test_shows_is_shown_by_a_test_that_exists(entry: str) -> None:
    path, _, name = entry.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()


def send(scene: Scene, name: str, method: str, write: Write, given: dict[str, Any]) -> Any:
    """Sends the write as administrator; returns the answer."""
    body = given.get("body", write.body)
    route = next(route for known, route in addresses() if known == name)
    values = EXISTING | {key: value for key, value in given.items() if isinstance(value, str)}
    if name in ("cluster-collect", "waiver-grant", "waiver-withdraw", "api-clusters-collect"):
        values["name"] = "east"
    client = Client()
    if write.signed_in:
        client.force_login(scene.admin)
    if "form" in given:
        form = client.get(given["form"]).context["form"]
        body = {field: form[field].value() or "" for field in form.fields} | given["changes"]
    if isinstance(body, dict) and body.get("until") == "soon":
        body = body | {"until": (timezone.now() + timedelta(hours=2)).isoformat()}
    path = filled(route, values)
    if path.startswith("/api/"):
        return client.generic(method, path, json.dumps(body) if body is not None else "", content_type="application/json")
    return client.post(path, body or {})


@pytest.mark.django_db
def test_every_write_that_succeeds_is_in_the_audit_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.services.notifications.guard.check_host", lambda _: None)
    monkeypatch.setattr("fleet.tasks.enqueue", lambda *_: None)
    monkeypatch.setattr("fleet.tasks.wake_notify", lambda *_: None)
    monkeypatch.setattr("fleet.tasks.wake_compliance", lambda *_: None)
    scene = a_scene()
    wrong = []
    for (name, method), entry in sorted(WRITES.items()):
        for write in entry if isinstance(entry, tuple) else (entry,) if isinstance(entry, Write) else ():
            with transaction.atomic():
                wrong += [f"{method} {name}: {problem}" for problem in problems(scene, name, method, write)]
                transaction.set_rollback(True)
            scene.admin.refresh_from_db()
            scene.other.refresh_from_db()
    assert not wrong, chr(10).join(wrong)


def problems(scene: Scene, name: str, method: str, write: Write) -> list[str]:
    given = write.prepare(scene) if write.prepare else {}
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    answer = send(scene, name, method, write, given)
    if answer.status_code >= 400:
        return [f"{answer.status_code} {answer.content.decode()[:300]}"]
    rows = [row for row in AuditEntry.objects.exclude(pk__in=before) if row.action == write.action]
    if not rows:
        return [f"no entry {write.action}; {list(AuditEntry.objects.exclude(pk__in=before).values_list('action', flat=True))}"]
    row = rows[-1]
    result = [] if row.actor_name else ["nobody is named"]
    if missing := [side for side in write.has if not row.detail.get(side)]:
        result.append(f"{row.action} does not state {', '.join(missing)}: {row.detail}")
    return result


@pytest.mark.django_db
def test_what_has_no_such_method_says_so_of_what_exists() -> None:
    scene = a_scene()
    client = Client()
    client.force_login(scene.admin)
    routes = dict(addresses())
    for (name, method), entry in WRITES.items():
        if entry is NO_SUCH:
            path = filled(routes[name], EXISTING | {"slug": "full-h100" if "class" in name else "h100"})
            assert client.generic(method, path).status_code == 405, (method, path)


def test_an_entry_says_why_a_post_changes_nothing() -> None:
    assert all(entry.why for entry in WRITES.values() if isinstance(entry, Unchanged))
