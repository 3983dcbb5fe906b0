"""Acting on several rows at once: what a filter selects, all or none, operators only."""

from __future__ import annotations

import pytest
from django.test import Client

from fleet.models import AuditEntry, Maintenance, Node, Role, Silence
from tests.factories import a_cluster, a_finding, a_node, a_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def otto() -> Client:
    client = Client()
    client.force_login(a_user("otto", Role.OPERATOR))
    for number in range(4):
        a_finding(a_node(f"n{number}", a_cluster("east"), product="A" if number < 3 else "B"), text=f"Finding {number}")
    return client


def words(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split()).replace("\N{NO-BREAK SPACE}", " ")


def test_maintenance_of_what_a_filter_selects_begins_and_ends(otto: Client) -> None:
    assert 'href="/nodes/selected/?product=A"' in words(otto, "/nodes/?product=A")
    page = words(otto, "/nodes/selected/?product=A")
    assert "Maintenance of 3 nodes" in page
    assert page.count('name="node"') == 3
    ids = [str(pk) for pk in Node.objects.filter(product="A").order_by("name").values_list("pk", flat=True)]
    given = {"node": ids[:2], "do": "begin", "reason": "Firmware", "hours": "4", "query": "product=A"}
    answer = otto.post("/nodes/selected/", given)
    assert answer["Location"] == "/nodes/?product=A"
    assert set(Maintenance.objects.values_list("node_name", flat=True)) == {"n0", "n1"}
    otto.post("/nodes/selected/", {"node": ids, "do": "end"})
    assert not Maintenance.objects.exists()
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert (actions.count("maintenance.begin"), actions.count("maintenance.end")) == (2, 2)


@pytest.mark.parametrize("odd", [{"reason": ""}, {"node": []}, {"hours": "5"}, {"node": ["x", "99999999999999999999"]}])
def test_a_refusal_changes_none(otto: Client, odd: dict[str, object]) -> None:
    ids = [str(pk) for pk in Node.objects.values_list("pk", flat=True)]
    given = {"node": ids, "do": "begin", "reason": "Firmware", "hours": "4", "query": "product=A"}
    answer = otto.post("/nodes/selected/", {**given, **odd})
    assert answer["Location"] == "/nodes/selected/?product=A"
    assert not Maintenance.objects.exists()


def test_findings_are_silenced_together(otto: Client) -> None:
    assert "Silence several" in words(otto, "/findings/")
    ids = [part.split('"')[0] for part in words(otto, "/findings/selected/").split('name="finding" value="')[1:]]
    assert len(ids) == 4
    otto.post("/findings/selected/", {"finding": ids[:3], "reason": "Known", "hours": "24"})
    assert Silence.objects.count() == 3
    assert otto.post("/findings/selected/", {"finding": ids, "reason": "", "hours": "24"})["Location"] == "/findings/selected/"
    assert Silence.objects.count() == 3


def test_only_operators_act(otto: Client) -> None:
    dora = Client()
    dora.force_login(a_user("dora"))
    for path in ("/nodes/selected/", "/findings/selected/"):
        assert dora.get(path).status_code == 403
        assert dora.post(path, {"node": ["1"]}).status_code == 403
    assert "selected/" not in words(dora, "/nodes/")
