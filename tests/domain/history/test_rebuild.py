from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.history.facts import node_facts
from fleet.domain.history.rebuild import node_from_facts
from fleet.domain.history.staleness import is_silence, sentence
from fleet.domain.snapshot import Condition, NodeInfo, NodeSnapshot, Taint
from tests.domain.history.test_incidents import FLAP, at

words = st.text(st.characters(codec="ascii", exclude_characters=":"), max_size=8)
keys = st.from_regex(r"[a-z.]{1,8}/[a-z]{1,8}", fullmatch=True)
nodes = st.builds(
    NodeSnapshot,
    name=st.just("n1"),
    uid=st.just("u1"),
    labels=st.dictionaries(keys, words, max_size=4),
    taints=st.lists(st.builds(Taint, keys, words, words), max_size=3, unique_by=lambda build: (build.key, build.effect)).map(
        tuple
    ),
    unschedulable=st.booleans(),
    provider_id=words,
    capacity=st.dictionaries(keys, words, max_size=3),
    allocatable=st.dictionaries(keys, words, max_size=3),
    conditions=st.lists(st.builds(Condition, type=words, status=words), max_size=3, unique_by=lambda row: row.type).map(tuple),
    node_info=st.builds(NodeInfo, kernel=words, os_image=words, container_runtime=words, kubelet=words, boot_id=words),
)


@pytest.mark.slow
@given(nodes)
def test_a_node_made_of_its_facts_has_the_same_facts(node: NodeSnapshot) -> None:
    facts = node_facts(node, (), {})
    assert node_facts(node_from_facts("n1", "u1", facts), (), {}) == facts


def test_a_revision_of_an_older_version_lacks_nothing_that_is_needed() -> None:
    assert node_from_facts("n1", "u1", {}).labels == {}


def test_the_sentence_of_silence_knows_itself_and_depends_on_the_last_reading_alone() -> None:
    assert sentence(at(0), FLAP) == "Muster read nothing of this cluster for more than 10 minutes after 2026-11-23 00:00:00 UTC."
    assert is_silence(sentence(at(0), FLAP))
    assert not is_silence("The driver pod fails.")
