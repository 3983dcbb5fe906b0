from __future__ import annotations

import pytest

from fleet.domain.people.scopes import Scope
from fleet.models import scope
from fleet.selectors.placement import headroom, pending, stranded
from fleet.selectors.placement.process_cache import ProcessCache
from tests.factories import NOON, a_cluster, a_node


def test_an_answer_is_made_once_for_each_version_and_only_the_newest_is_kept() -> None:
    made: list[str] = []

    def make(answer: str) -> str:
        made.append(answer)
        return answer

    cache: ProcessCache[str] = ProcessCache()
    assert [cache.get(version, lambda: make(version)) for version in ("1", "1", "2", "1")] == ["1", "1", "2", "1"]  # noqa: B023
    assert made == ["1", "2", "1"]
    assert cache.get("1", lambda: make("other"), key="other") == "other"
    assert cache.get("1", lambda: make("again")) == "1"


def test_the_oldest_key_makes_room() -> None:
    cache: ProcessCache[int] = ProcessCache(most=2)
    assert [cache.get("v", lambda n=n: n, key=n) for n in (1, 2, 3)] == [1, 2, 3]
    assert cache.get("v", lambda: 20, key=2) == 2
    assert cache.get("v", lambda: 10, key=1) == 10


@pytest.mark.django_db
def test_what_one_scope_cached_is_no_answer_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    # as if the data that both see had the same version, so that only the scope tells them apart
    monkeypatch.setattr(headroom, "_version", lambda: "same")
    east = a_cluster("east")
    a_node("n1", cluster=east)
    everything = headroom.stock(NOON)
    assert [node.name for node in everything.fleet.nodes] == ["n1"]
    answers = pending.pending(NOON), stranded.stranded(NOON)
    with scope.entered(Scope(frozenset({"west"}))):
        assert list(headroom.stock(NOON).fleet.nodes) == []
        assert headroom.stock(NOON).version != everything.version
        assert stranded.stranded(NOON) is not answers[1]
    assert headroom.stock(NOON) is everything
