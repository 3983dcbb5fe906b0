"""The explain page: the answer in the first line, what opens nodes, refused questions, hostile text."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from fleet.domain.snapshot import Taint
from fleet.models import Cluster
from tests.api.test_explain import MANIFEST, NO_OBJECTS, SIZES, record
from tests.domain.placement.scheduler import recordings
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db

URL = "/explain/"


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    tainted = a_node("n1", allocatable=SIZES, taints=(Taint("dedicated", "inference", "NoSchedule"),))
    waiting = {
        "metadata": {"name": "p", "namespace": "team-a"},
        "spec": {"containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "16"}}}]},
    }
    record(cluster, tainted, pods=(recordings.pod(waiting, NO_OBJECTS),))
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def text_of(answer: Any) -> str:
    page: str = answer.content.decode()
    return " ".join(page.split())


def test_an_empty_page_asks_for_a_manifest(reader: Any, east: Cluster) -> None:
    page = text_of(reader.get(URL))
    assert "No question yet" in page
    assert 'name="manifest"' in page
    assert "Nothing is stored or sent to a cluster." in page


def test_the_first_line_is_the_answer_and_the_patch_is_there_to_copy(reader: Any, east: Cluster) -> None:
    page = text_of(reader.post(URL, {"mode": "manifest", "manifest": MANIFEST}))
    assert "Fits nowhere now. Tolerating dedicated=inference:NoSchedule would open 1 node." in page
    assert "<code>spec.template.spec</code>" in page
    assert "key: dedicated" in page
    assert "<b>1 would fit</b>" in page


def test_htmx_gets_the_answer_alone(reader: Any, east: Cluster) -> None:
    part = text_of(reader.post(URL, {"mode": "manifest", "manifest": MANIFEST}, headers={"HX-Request": "true"}))
    assert "<form" not in part
    assert "Fits nowhere now" in part


def test_a_waiting_pod_is_explained_by_its_address(reader: Any, east: Cluster) -> None:
    page = text_of(reader.get(f"{URL}?pod=east/team-a/p"))
    assert "Fits nowhere now, and no single change to the pod opens a node." in page
    assert 'value="east/team-a/p"' in page


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"mode": "manifest", "manifest": "kind: Service"}, "No pod template in: Service"),
        ({"mode": "manifest", "manifest": "a: &x 1\nb: *x"}, "aliases"),
        ({"mode": "pod", "pod": "a/b"}, "Write cluster/namespace/name."),
        ({"mode": "class", "workload_class": "none"}, "Workload class “none” not found"),
        ({"mode": "other", "manifest": "x"}, "mode:"),
    ],
)
def test_a_refused_question_says_why(reader: Any, east: Cluster, question: dict[str, str], says: str) -> None:
    answer = reader.post(URL, question)
    assert answer.status_code == 200
    assert says in text_of(answer).replace("&quot;", '"')


def test_the_text_of_a_manifest_is_never_markup(reader: Any, east: Cluster) -> None:
    hostile = MANIFEST.replace("{limits", '{limits: {"<script>alert(1)</script>": 1}, x')
    page = text_of(reader.post(URL, {"mode": "manifest", "manifest": hostile}))
    assert "<script>alert(1)" not in page
