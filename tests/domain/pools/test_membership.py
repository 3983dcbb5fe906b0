from __future__ import annotations

from typing import Any

from fleet.domain.label_selectors import parse
from fleet.domain.pools.membership import Clash, assign, preview
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from tests.builders import with_pools
from tests.domain.placement.fleets import bare


def pool(slug: str, selector: str, **policy: Any) -> PoolSpec:
    return PoolSpec(slug=slug, selector=PoolSelector(labels=parse(selector)), policy=PoolPolicy(**policy))


NODES = [
    bare("n1", labels={"pool": "a"}),
    bare("n2", labels={"pool": "a", "big": "yes"}),
    bare("n3"),
    bare("n4", labels={"pool": "b"}),
]


def test_members_the_lonely_and_those_in_two_exclusive_pools() -> None:
    result = assign([pool("a", "pool=a"), pool("big", "big"), pool("all", "", exclusive=False)], NODES[:3])
    assert result.pools == {("east", "n1"): ("a", "all"), ("east", "n2"): ("a", "big", "all"), ("east", "n3"): ("all",)}
    assert result.clashes == (Clash(("east", "n2"), ("a", "big")),)
    assert result.alone == ()
    assert assign([pool("a", "pool=a")], NODES).alone == (("east", "n3"), ("east", "n4"))
    assert [node.pools for node in with_pools([pool("a", "pool=a")], NODES)] == [("a",), ("a",), (), ()]


def test_a_preview_says_who_joins_who_leaves_who_is_left_alone_and_who_clashes() -> None:
    before, others = pool("a", "pool=a"), [pool("big", "big")]
    seen = preview(pool("a", "pool in (b),!x"), others, NODES, before)
    assert seen.members == seen.joins == (("east", "n4"),)
    assert seen.leaves == (("east", "n1"), ("east", "n2"))
    assert seen.alone == (("east", "n1"),), "n2 is still in big, n3 was alone before"
    assert seen.clashes == ()
    assert preview(before, others, NODES).clashes == (Clash(("east", "n2"), ("big", "a")),)


def test_a_preview_of_the_same_changes_nothing() -> None:
    seen = preview(pool("a", "pool=a"), [], NODES, pool("a", "pool=a"))
    assert (seen.joins, seen.leaves, seen.alone, seen.clashes) == ((), (), (), ())
