"""The pages of pools in every state: nothing, suggested, kept, broken; forms and their sentences; YAML; waivers; roles."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet.domain.snapshot import Taint
from fleet.models import AuditEntry, Cluster, FindingRow, Node, Pool, Role, User, WaiverRow
from fleet.selectors import declarations
from fleet.selectors.pools import pools
from fleet.services import compliance
from fleet.services import pools as service
from fleet.web.pools import _worst_first
from tests.factories import a_user
from tests.services.snapshots import a_node
from tests.services.test_pools import H100, a_spec, at, look

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.tasks.wake_compliance", lambda: None)


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    look(cluster, a_node("n1"), a_node("n2"), a_node("n3", labels={"nvidia.com/gpu.product": "Tesla-T4"}))
    Node.objects.update(verdict="ready", usable=8)
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def text_of(client: Client, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, (url, answer.status_code)
    return words(answer.content.decode())


def words(html: str) -> str:
    """What stands on a page, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")


def filled(**fields: Any) -> dict[str, Any]:
    values = {"one_product": "on", "one_driver": "on", "exclusive": "on", "required_rung": "7"}
    return {"slug": "h100", "products": [H100]} | values | fields


def test_without_pools_the_fleet_suggests_some_and_one_is_adopted(reader: Client, east: Cluster) -> None:
    page = text_of(reader, "/pools/")
    assert "0 pools" in page
    assert "for the 3 nodes in no pool" in page
    answer = reader.post("/pools/adopt/", {"slug": "h100-80gb-hbm3"}, follow=True)
    assert "Pool h100-80gb-hbm3 was created with 2 nodes." in words(answer.content.decode())
    assert Pool.objects.get().slug == "h100-80gb-hbm3"
    assert "1 node in no pool" in text_of(reader, "/pools/")
    again = reader.post("/pools/adopt/", {"slug": "h100-80gb-hbm3"}, follow=True)
    assert "is no longer suggested" in again.content.decode()


def test_several_suggestions_are_adopted_with_one_target_and_policy(reader: Client, east: Cluster) -> None:
    offered = [suggestion.pool.slug for suggestion in pools.suggestions(timezone.now())]
    assert len(offered) == 2
    policy = {"target": "99.5", "required_rung": "8", "owner": "platform", "partial_nodes": "on"}
    answer = reader.post("/pools/adopt/", {"slug": offered, **policy}, follow=True)
    assert "2 pools were created with 3 nodes." in words(answer.content.decode())
    for row in Pool.objects.all():
        made = declarations.pool_of(row).policy
        assert (made.availability_target, made.required_rung, made.owner, made.partial_nodes) == (99.5, 8, "platform", True)
    assert "Every node is in a pool" in text_of(reader, "/pools/")


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ({"target": "abc"}, "“abc” is not an availability target"),
        ({"target": "0"}, "give percent above 0, at most 100"),
        ({"target": "nan"}, "is not an availability target"),
        ({"target": "100.1"}, "is not an availability target"),
        ({"required_rung": "12"}, "“12” is not a rung"),
        ({"owner": "x" * 121}, "at most 120 printable"),
        ({"slug": ["h100-80gb-hbm3", "none-such"]}, "Pool none-such is no longer suggested"),
        ({"slug": []}, "Select the pools to adopt."),
    ],
)
def test_a_policy_that_is_none_adopts_nothing(reader: Client, east: Cluster, odd: dict[str, Any], sentence: str) -> None:
    answer = reader.post("/pools/adopt/", {"slug": ["h100-80gb-hbm3"], **odd}, follow=True)
    assert sentence in words(answer.content.decode())
    assert not Pool.objects.exists()


def test_the_list_shows_members_compliance_and_availability(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(purpose="online inference", owner="serving", min_ready=2), at(1))
    compliance.evaluate(timezone.now())
    page = text_of(reader, "/pools/")
    assert "16 of 16 physical GPUs usable" in page
    assert "Met" in page
    assert "no target" in page
    assert "online inference serving" in page
    assert re.search(r"16 .{0,30}physical GPUs|physical GPUs .{0,20}16", page)
    nodes = text_of(reader, "/nodes/?pool=h100")
    assert "2 nodes" in nodes
    assert "1 node" in text_of(reader, "/nodes/?pool=none")


def test_a_pool_without_a_target_and_without_a_ready_node_is_green_nowhere(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1))
    Node.objects.update(verdict="not_ready", usable=0)
    Cluster.objects.update(changes=97)
    compliance.evaluate(timezone.now())
    for url in ("/pools/", "/pools/h100/"):
        page = text_of(reader, url)
        assert "At risk" in page
        assert "no target" in page
        assert "Met" not in page


def test_a_violated_pool_names_each_violation_and_its_nodes(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(taints=(Taint("nvidia.com/gpu", "", "NoSchedule"),), modes=("mig",)), at(1))
    compliance.evaluate(timezone.now())
    page = text_of(reader, "/pools/h100/")
    assert "Violated" in page
    assert "2 nodes have no taint nvidia.com/gpu:NoSchedule" in page
    html = reader.get("/pools/h100/").content.decode()
    assert html.count('href="/nodes/east/n1/"') >= 3, "as member, and for each violation"
    assert not re.search(r"Sharing mode(?! the pool does not allow)", page)
    assert FindingRow.objects.filter(subject="pool", key="h100", rule="pool_missing_taint").exists()
    findings = text_of(reader, "/findings/?by=finding")
    assert "Nodes of pool h100 lack a taint" in findings
    assert "Pool h100" in findings


def test_a_pool_shows_joins_leaves_and_its_declaration(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(10))
    look(east, a_node("n2"), after_s=60)
    page = text_of(reader, "/pools/h100/")
    assert "n1 left" in page
    assert "2 nodes joined n1 , n2" in page, "what happened at one moment is one line"
    assert "apiVersion: muster/v1 kind: Pool metadata: name: h100" in page


def test_two_exclusive_pools_are_shown_with_their_nodes(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1))
    service.save(operator, a_spec("everything", products=()), at(2))
    assert "2 nodes in two exclusive pools" in text_of(reader, "/pools/")
    assert "2 nodes" in text_of(reader, "/nodes/?pool=clash")
    service.save(operator, a_spec("everything", products=(), exclusive=False), at(3))
    assert "two exclusive pools" not in text_of(reader, "/pools/")
    assert "0 nodes" in text_of(reader, "/nodes/?pool=clash")


def test_the_preview_shows_joins_before_anything_is_saved(reader: Client, east: Cluster) -> None:
    page = words(reader.post("/pools/preview/", filled(slug="")).content.decode())
    assert "2 nodes in the pool" in page
    assert "Join n1, n2 2" in page
    assert not Pool.objects.exists()


def test_the_preview_shows_leaves_and_conflicts(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1))
    changed = words(reader.post("/pools/preview/", filled(pool="h100", products=["Tesla-T4"])).content.decode())
    assert "Join n3 1" in changed
    assert "Leave n1, n2 2" in changed
    assert "Would be in no pool n1, n2 2" in changed
    rival = words(reader.post("/pools/preview/", filled(slug="rival")).content.decode())
    assert "Would be in two exclusive pools n1, n2 with h100 2" in rival


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"labels": "a in (x"}, "labels"),
        ({"labels": "kubernetes.io/hostname=n1"}, "names single nodes"),
        ({"availability_target": "101"}, "Enter a number from 0 to 100."),
        ({"min_ready": "many"}, "Enter a whole number"),
        ({"min_driver": "new"}, "is not a version"),
        ({"taints": "key:Never"}, "is none of NoSchedule"),
        ({"review_on": "soon"}, "Enter a date"),
        ({"slug": "Not A Name"}, "is not a valid name"),
        ({"slug": ""}, "A name is required."),
    ],
)
def test_a_mistake_stands_beside_its_field_in_the_words_of_the_yaml_reader(
    reader: Client, east: Cluster, fields: dict[str, str], sentence: str
) -> None:
    answer = reader.post("/pools/new/", filled(**fields))
    assert answer.status_code == 400
    html = answer.content.decode()
    (name,) = fields
    result = re.search(rf'id="id_{name}_error">([^<]*)<', html)
    assert result is not None, html
    assert sentence in result[1] or name == "labels"
    assert not Pool.objects.exists()


def test_a_pool_is_made_and_changed_by_the_form_and_nothing_is_lost(reader: Client, operator: User, east: Cluster) -> None:
    everything = filled(
        title="H100", purpose="online inference", labels="zone in (a,b),!spot", modes=["full"], availability_target="99.5",
        taints="nvidia.com/gpu=present:NoSchedule\ndedicated:NoExecute", tolerations="burst\n*:NoExecute", min_ready="2",
        min_driver="570", review_on="2027-01-31", owner="serving", partial_nodes="on",
    )  # fmt: skip
    answer = reader.post("/pools/new/", everything)
    assert answer.status_code == 302, words(answer.content.decode())
    before = Pool.objects.get().spec
    page = reader.get("/pools/h100/edit/")
    form = page.context["form"]
    given = {name: form[name].value() for name in form.fields}
    shown = {name: value for name, value in given.items() if value not in (False, None, "", [])}
    sent = {name: "on" if value is True else value for name, value in shown.items()}
    assert reader.post("/pools/h100/edit/", sent).status_code == 302
    assert Pool.objects.get().spec == before
    assert before["policy"]["availability_target"] == 99.5
    assert [item["operator"] for item in before["policy"]["tolerations"]] == ["Exists", "Exists"]


def test_a_pool_of_a_file_has_no_form(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1), managed_by="git/pools.yaml")
    page = text_of(reader, "/pools/h100/")
    assert "managed by file git/pools.yaml" in page
    assert "Edit" not in page
    answer = reader.get("/pools/h100/edit/", follow=True)
    assert "is declared in git/pools.yaml" in answer.content.decode()
    refused = reader.post("/pools/h100/remove/", follow=True)
    assert "is declared in git/pools.yaml" in refused.content.decode()
    assert Pool.objects.get().removed_at is None


def test_a_pool_is_removed_and_its_page_is_gone(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1))
    assert "Its history is kept." in reader.post("/pools/h100/remove/", follow=True).content.decode()
    text_of(reader, "/pools/h100/", 404)


def test_a_rung_is_waived_for_a_pool_and_back(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1))
    reader.post("/pools/h100/waivers/", {"rung": "cuda_works", "reason": "Tested manually."})
    assert "Tested manually." in text_of(reader, "/pools/h100/")
    assert (WaiverRow.objects.get().pool, WaiverRow.objects.get().cluster) == ("h100", None)
    reader.post("/pools/h100/waivers/cuda_works/withdraw/")
    assert not WaiverRow.objects.exists()
    assert [item.subject for item in AuditEntry.objects.filter(action__startswith="waiver")] == ["cuda_works in pool h100"] * 2
    assert "A reason is required." in reader.post("/pools/h100/waivers/", {"rung": "cuda_works"}, follow=True).content.decode()


STREAM = """\
apiVersion: muster/v1
kind: Pool
metadata: {name: h100}
spec: {selector: {products: [NVIDIA-H100-80GB-HBM3]}, policy: {availabilityTarget: 99}}
"""


def test_yaml_is_looked_at_then_applied(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec("kept-on-the-page", products=("Tesla-T4",)), at(1))
    look_first = words(reader.post("/pools/apply/", {"text": STREAM, "do": "look"}).content.decode())
    assert "Pool h100 create" in look_first
    assert Pool.objects.count() == 1
    done = reader.post("/pools/apply/", {"text": STREAM, "do": "apply"}, follow=True)
    assert "Applied: 1 made." in done.content.decode()
    names = set(Pool.objects.filter(removed_at__isnull=True).values_list("slug", flat=True))
    assert names == {"h100", "kept-on-the-page"}, "a stream without a source removes nothing"
    changed = words(reader.post("/pools/apply/", {"text": STREAM.replace("99", "95"), "do": "look"}).content.decode())
    assert "policy.availabilityTarget 99.0 → 95.0" in changed


def test_bad_yaml_has_line_field_and_sentence_and_changes_nothing(reader: Client, east: Cluster) -> None:
    answer = reader.post("/pools/apply/", {"text": STREAM.replace("99", "many"), "do": "apply"})
    assert answer.status_code == 400
    page = words(answer.content.decode())
    assert "Enter a number from 0 to 100. line 4 · spec.policy.availabilityTarget" in page
    assert not Pool.objects.exists()


def test_the_map_of_the_fleet_is_by_pool_where_there_are_pools(reader: Client, operator: User, east: Cluster) -> None:
    assert ">Pool</a>" not in reader.get("/").content.decode()
    service.save(operator, a_spec(), at(1))
    page = text_of(reader, "/")
    assert "3 nodes by pool" in page
    assert "In no pool" in page
    assert "pool h100" in text_of(reader, "/nodes/east/n1/")


READ, OPERATE = ("/pools/", "/pools/h100/", "/classes/"), ("/pools/new/", "/pools/h100/edit/", "/pools/apply/", "/classes/new/")
POSTS = ("/pools/adopt/", "/pools/preview/", "/pools/h100/remove/", "/pools/h100/waivers/",
         "/pools/h100/waivers/cuda_works/withdraw/", "/classes/adopt/")  # fmt: skip


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.OPERATOR, Role.ADMIN])
def test_who_may_see_and_do_what(client: Client, operator: User, east: Cluster, role: Role) -> None:
    service.save(operator, a_spec(), at(1))
    client.force_login(a_user("ada", role))
    may = role in (Role.OPERATOR, Role.ADMIN)
    for path in READ:
        assert client.get(path).status_code == 200, path
    for path in OPERATE:
        assert client.get(path).status_code == (200 if may else 403), path
    for path in POSTS:
        assert (client.post(path).status_code == 403) is not may, path
    shown = "New pool" in client.get("/pools/").content.decode()
    assert shown is may
    for path in ("/pools/nobody/", "/classes/nobody/"):
        assert client.get(path).status_code == 404


def test_a_page_of_pools_costs_the_same_whatever_their_number(
    reader: Client, operator: User, east: Cluster, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    service.save(operator, a_spec(), at(1))
    reader.get("/pools/")
    with CaptureQueriesContext(connection) as few:
        reader.get("/pools/")
    for number in range(8):
        service.save(operator, a_spec(f"more-{number}", products=("Tesla-T4",)), at(2 + number))
    reader.get("/pools/")
    with CaptureQueriesContext(connection) as many:
        reader.get("/pools/")
    assert len(many) == len(few)


def test_a_pool_that_no_label_identifies_offers_the_label_to_add(reader: Client, operator: User, east: Cluster) -> None:
    service.save(operator, a_spec(), at(1))
    Node.objects.update(labels={})
    Cluster.objects.update(changes=97)
    page = text_of(reader, "/pools/h100/")
    assert "cannot be selected by label" in page
    assert "kubectl label node n1 n2 muster.dev/pool=h100" in page
    for where in ("Kustomize", "GKE", "EKS", "AKS", "Karpenter", "OpenShift"):
        assert where in page


def test_pools_that_violate_their_definition_come_first() -> None:
    def row(slug: str, state: str) -> Any:
        return SimpleNamespace(row=SimpleNamespace(slug=slug), compliance=SimpleNamespace(state=state))

    rows = [row("a", "met"), row("b", "at_risk"), row("c", "none"), row("d", "violated"), row("e", "at_risk")]
    assert [item.row.slug for item in sorted(rows, key=_worst_first)] == ["d", "b", "e", "a", "c"]
