from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fleet.models import AuditEntry
from fleet.services.audit import audit
from tests.factories import NOON

pytestmark = pytest.mark.django_db
URL = "/api/v1/audit/"


def test_newest_first_and_filtered(reader: Any, operator: Any) -> None:
    audit(operator, "finding.silence", "untainted on east/n1", "Being repaired.", {"scope": "finding"}, NOON)
    audit(None, "finding.unsilence", "untainted on east/n1", at=NOON + timedelta(hours=1))
    first, second = reader.get(URL).json()["results"]
    assert (first["action"], first["actor"]) == ("finding.unsilence", None)
    assert (second["actor"], second["reason"], second["detail"]) == ("otto", "Being repaired.", {"scope": "finding"})
    for query, number in (
        ("actor=otto", 1),
        ("action=finding.unsilence", 1),
        ("since=2026-11-23T12:30:00Z", 1),
        ("q=repaired", 1),
        ("q=x", 0),
    ):
        assert len(reader.get(f"{URL}?{query}").json()["results"]) == number, query
    assert reader.get(f"{URL}facets/").json()["facets"]["action"][0]["count"] == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_entries_cannot_be_changed(client: Any, admin_user: Any, method: str) -> None:
    entry = audit(None, "finding.silence", "x")
    admin_user.role = "admin"
    admin_user.save()
    client.force_login(admin_user)
    for path in (URL, f"{URL}{entry.pk}/"):
        assert getattr(client, method)(path, {}, content_type="application/json").status_code in (403, 404, 405)
    assert AuditEntry.objects.count() == 1


def test_only_operators_read_it(client: Any, viewer: Any) -> None:
    client.force_login(viewer)
    for path in (URL, f"{URL}facets/", f"{URL}?format=csv"):
        assert client.get(path).status_code == 403
