"""The sizing page: the answer in the first line, a shareable address, a pasted configuration, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.factories import a_cluster, a_node, a_resource

pytestmark = pytest.mark.django_db

H100 = "NVIDIA-H100-80GB-HBM3"
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}


@pytest.fixture
def fleet() -> None:
    slots = {"capacity": 8, "allocatable": 8, "requested": 0, "free": 8, "replicas": 1}
    shape = {"gpu_memory_mib": 81_559, "sharing": "exclusive", "partitioning": "none"}
    a_resource(a_node("n0", cluster=a_cluster("east"), product=H100, **shape), **slots)


def test_the_first_line_is_the_answer(reader: Any, fleet: None) -> None:
    page = reader.get("/sizing/").content.decode()
    assert f"Needs at least 4 × {H100}." in page
    assert "room for 29 sequences" in page
    assert "A minimum, not a recommendation" in page


def test_the_address_is_the_question(reader: Any, fleet: None) -> None:
    page = reader.get("/sizing/?model=llama-3.1-8b&context=4096&sequences=1").content.decode()
    assert f"Needs at least 1 × {H100}." in page
    assert 'value="llama-3.1-8b" selected' in page


def test_htmx_gets_the_answer_alone(reader: Any, fleet: None) -> None:
    part = reader.get("/sizing/", headers={"HX-Request": "true"}).content.decode()
    assert "<form" not in part
    assert "Needs at least" in part


def test_a_pasted_configuration_is_sized(reader: Any, fleet: None) -> None:
    page = reader.post("/sizing/", {"config": json.dumps(LLAMA)}).content.decode()
    assert "8,030,261,248" in page


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "Not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"model_type": "t5"}', "not supported"),
        (json.dumps({**LLAMA, "vocab_size": -3}), "vocab_size must be a whole number"),
        ("[" * 50_000, "Not valid JSON"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why(reader: Any, text: str, sentence: str) -> None:
    page = reader.post("/sizing/", {"config": text})
    assert page.status_code == 200
    assert sentence in page.content.decode()


@pytest.mark.parametrize("query", ["model=none", "context=0", "context=x", "sequences=-1", "share=300", "overhead=nan"])
def test_a_question_that_cannot_be_answered_marks_its_field(reader: Any, fleet: None, query: str) -> None:
    page = reader.get(f"/sizing/?{query}")
    assert page.status_code == 200
    assert "Needs at least" not in page.content.decode()
    assert "field__error" in page.content.decode()


def test_without_gpu_products_the_page_says_so(reader: Any) -> None:
    assert "No GPU product with known memory in this fleet." in reader.get("/sizing/").content.decode()
