"""What a search may ask for: every word is a condition on every row, so a long one would hold a web thread for seconds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import a_finding, a_node

pytestmark = pytest.mark.django_db

ELEVEN = "+".join(f"w{number}" for number in range(11))
VALUES = "tier+in+(" + ",".join(f"v{number}" for number in range(31)) + ")"
RUNGS = ",".join(f"rung_{number}:fail" for number in range(31))


@pytest.mark.parametrize(
    ("path", "query", "field", "sentence"),
    [
        ("nodes", f"q={ELEVEN}", "q", "A search has at most 10 different words; this one has 11."),
        ("nodes", f"q={'a' * 201}", "q", "A search has at most 200 characters; this one has 201."),
        ("findings", f"q={ELEVEN}", "q", "A search has at most 10 different words; this one has 11."),
        ("audit", f"q={ELEVEN}", "q", "A search has at most 10 different words; this one has 11."),
        ("nodes", f"label={VALUES}", "label", "A label selector has at most 30 values; this one has 31."),
        ("nodes", f"label={'a' * 1001}", "label", "A label selector has at most 1,000 characters; this one has 1,001."),
        ("gpus", f"label={VALUES}", "label", "A label selector has at most 30 values; this one has 31."),
        ("nodes", f"rung={RUNGS}", "rung", "At most 30 rungs with a status can be given at once."),
    ],
)
def test_a_search_that_asks_for_too_much_is_refused(reader: Any, path: str, query: str, field: str, sentence: str) -> None:
    answer = reader.get(f"/api/v1/{path}/?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"] == {field: [sentence]}
    if path != "gpus":
        page = reader.get(f"/{path}/?{query}")
        assert page.status_code == 200
        assert sentence in page.content.decode()


@pytest.mark.parametrize("query", ["q=a%3Db%3Dc", "label=a%3Db%3Dc"])
def test_a_selector_that_cannot_be_read_is_a_sentence_on_the_page(reader: Any, query: str) -> None:
    page = reader.get(f"/nodes/?{query}")
    assert page.status_code == 200
    assert "is not a valid label selector" in page.content.decode()
    assert reader.get(f"/api/v1/nodes/?{query}").status_code == 400


def test_a_repeated_word_counts_once(reader: Any) -> None:
    node = a_node("n1", labels={"tier": "a"})
    a_finding(node, text="The driver is stuck.")
    for path, query in (("nodes", "n1+tier=a+" + "n1+" * 20), ("findings", "driver+" * 15)):
        assert len(reader.get(f"/api/v1/{path}/?q={query}").json()["results"]) == 1
