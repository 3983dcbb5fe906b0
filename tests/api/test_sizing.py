"""POST sizing/ and GET models/ over a small fleet: shape, figures, classes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.factories import a_cluster, a_node, a_resource

pytestmark = pytest.mark.django_db

H100 = "NVIDIA-H100-80GB-HBM3"


@pytest.fixture
def api(viewer: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(viewer)
    return client


@pytest.fixture
def fleet() -> None:
    cluster = a_cluster("east")
    slots = {"capacity": 8, "allocatable": 8, "requested": 0, "free": 8, "replicas": 1}
    for number in range(2):
        node = a_node(
            f"n{number}",
            cluster=cluster,
            product=H100,
            gpu_memory_mib=81_559,
            sharing="exclusive",
            partitioning="none",
        )
        a_resource(node, **slots)


def asked(api: APIClient, **fields: Any) -> Any:
    return api.post("/api/v1/sizing/", fields, format="json")


def test_a_model_of_the_catalogue_is_sized_over_the_products_of_the_fleet(api: APIClient, fleet: None) -> None:
    answer = asked(api, model="llama-3.3-70b", context_tokens=16_384, concurrency=16)
    assert answer.status_code == 200, answer.data
    body = answer.json()
    assert body["parameters"] == {"total": 70_553_706_496, "active": 70_553_706_496}
    assert body["bytes"]["kv_per_token"] == 327_680
    assert body["minimum_gpus"] == {H100: 4}
    (layout,) = body["layouts"]
    assert (layout["product"], layout["tensor_parallel"], layout["nodes"], layout["fits"]) == (H100, 4, 1, True)
    assert layout["max_sequences"] == 29
    assert set(layout) == {
        "product", "gpus_per_node", "nodes", "tensor_parallel", "pipeline_parallel", "expert_parallel", "data_parallel", "fits",
        "free_bytes_per_gpu", "max_sequences", "why_not",
    }  # fmt: skip
    assert body["assumptions"][0].startswith("A minimum")


def test_what_does_not_fit_has_null_figures_and_a_reason(api: APIClient, fleet: None) -> None:
    (layout, *_) = asked(api, model="llama-3.1-405b", weights_dtype="fp32", concurrency=5_000).json()["layouts"]
    assert (layout["fits"], layout["free_bytes_per_gpu"], layout["max_sequences"]) == (False, None, None)
    assert "GiB" in layout["why_not"]


def test_a_pasted_configuration_is_sized_and_a_broken_one_names_its_field(api: APIClient, fleet: None) -> None:
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
              "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256}  # fmt: skip
    assert asked(api, config=config).json()["parameters"]["total"] == 8_030_261_248
    refused = asked(api, config={**config, "hidden_size": "wide"})
    assert refused.status_code == 400
    assert "config.hidden_size" in refused.json()["errors"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "model"),
        ({"model": "llama-3.3-70b", "config": {}}, "model"),
        ({"model": "no-such-model"}, "model"),
        ({"model": "llama-3.3-70b", "context_tokens": 0}, "context_tokens"),
        ({"model": "llama-3.3-70b", "concurrency": -1}, "concurrency"),
        ({"model": "llama-3.3-70b", "gpu_memory_utilization": 1.5}, "gpu_memory_utilization"),
        ({"model": "llama-3.3-70b", "weights_dtype": "fp2"}, "weights_dtype"),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_field(api: APIClient, fields: dict[str, Any], field: str) -> None:
    answer = asked(api, **fields)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_only_the_named_products_are_sized(api: APIClient, fleet: None) -> None:
    assert asked(api, model="llama-3.1-8b", products=["AMD-MI300X"]).json()["layouts"] == []
    assert [row["product"] for row in asked(api, model="llama-3.1-8b", products=[H100]).json()["layouts"]] == [H100]


def test_a_fleet_without_nodes_has_no_layout(api: APIClient) -> None:
    body = asked(api, model="llama-3.1-8b").json()
    assert (body["layouts"], body["minimum_gpus"], body["classes"], body["as_of"]) == ([], {}, [], None)


def test_the_catalogue_lists_every_model(api: APIClient) -> None:
    rows = api.get("/api/v1/models/").json()["results"]
    assert len(rows) >= 60
    assert {"id", "title", "repository", "parameters", "active", "max_context", "weights_dtype"} == set(rows[0])


def test_sizing_requires_a_sign_in() -> None:
    assert asked(APIClient(), model="llama-3.1-8b").status_code == 401
