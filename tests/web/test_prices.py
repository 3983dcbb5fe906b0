"""The price table: who changes it, what it refuses, what has no price, on the page and in the API."""

from __future__ import annotations

import pytest
from django.test import Client

from fleet.models import AuditEntry, Price, Role
from tests.factories import a_cluster, a_node, a_user

pytestmark = pytest.mark.django_db
GIVEN = {"product": "NVIDIA-L4", "per_gpu_hour": "0.7125", "currency": "eur", "source": "List"}


def signed_in(role: Role) -> Client:
    client = Client()
    client.force_login(a_user(f"who-{role}", role))
    return client


def test_operators_set_and_remove_prices_and_all_roles_read_them() -> None:
    otto, vera = signed_in(Role.OPERATOR), signed_in(Role.VIEWER)
    a_node("n1", a_cluster("east"), product="NVIDIA-L4", expected=2)
    assert "2 GPUs" in " ".join(vera.get("/prices/").content.decode().split())
    assert vera.post("/prices/", GIVEN).status_code == 403
    assert otto.post("/prices/", GIVEN).status_code == 302
    assert otto.post("/prices/", {**GIVEN, "per_gpu_hour": "0.5"}).status_code == 302
    row = Price.objects.get()
    assert (str(row.per_gpu_hour), row.currency) == ("0.5000", "EUR")
    page = vera.get("/prices/").content.decode()
    assert "0.50" in page
    assert "Without a price" not in page
    assert vera.get("/api/v1/prices/").json()["results"][0]["per_gpu_hour"] == "0.5000"
    assert vera.post(f"/prices/{row.pk}/remove/").status_code == 403
    assert otto.post(f"/prices/{row.pk}/remove/").status_code == 302
    assert not Price.objects.exists()
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "price.save",
        "price.save",
        "price.remove",
    ]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"per_gpu_hour": "-1"}, "0 to 100,000"),
        ({"per_gpu_hour": "NaN"}, "0 to 100,000"),
        ({"per_gpu_hour": "1e9"}, "0 to 100,000"),
        ({"per_gpu_hour": "0.00001"}, "4 decimals"),
        ({"per_gpu_hour": ""}, "0 to 100,000"),
        ({"currency": "dollar"}, "ISO 4217"),
        ({"product": " "}, "as nodes report it"),
        ({"product": "x" * 201}, "200 printable"),
        ({"cluster": "ea\u2028st"}, "printable"),
    ],
)
def test_a_price_that_is_none_is_refused_beside_its_field(changed: dict[str, str], sentence: str) -> None:
    answer = signed_in(Role.OPERATOR).post("/prices/", {**GIVEN, **changed})
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not Price.objects.exists()


def test_the_api_sets_and_removes(settings: object) -> None:
    otto = signed_in(Role.OPERATOR)
    answer = otto.post("/api/v1/prices/", {**GIVEN, "cluster": "east"}, content_type="application/json")
    assert (answer.status_code, answer.json()["currency"]) == (201, "EUR")
    bad = otto.post("/api/v1/prices/", {**GIVEN, "per_gpu_hour": -2}, content_type="application/json")
    assert bad.status_code == 400
    assert otto.delete(f"/api/v1/prices/{answer.json()['id']}/").status_code == 204
    assert otto.get("/api/v1/prices/").json()["results"] == []
