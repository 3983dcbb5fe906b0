"""A node in no pool, and one in two that exclude each other."""

from __future__ import annotations

from fleet.domain.evaluation.rules import settle
from fleet.domain.evaluation.subject import ClusterHistory, Policy
from fleet.domain.findings import Severity, Status
from fleet.domain.lint.rules import in_no_pool, in_rival_pools
from tests.domain.lint.subjects import ask, subject_of

POOLS = ClusterHistory(has_pools=True)


def test_without_pools_there_is_nothing_to_be_in() -> None:
    assert ask(in_no_pool.RULE).status == Status.NOT_APPLICABLE
    assert ask(in_rival_pools.RULE).status == Status.NOT_APPLICABLE


def test_a_node_without_a_pool_is_reported_once_that_has_lasted() -> None:
    result = ask(in_no_pool.RULE, cluster=POOLS)
    assert (result.status, result.findings[0].severity) == (Status.WARN, Severity.INFO)
    settled, pending = settle([result], subject_of(cluster=POOLS))
    assert settled[0].findings == (), "a node that has just joined is put into its pools after it was judged"
    assert "in_no_pool|" in pending


def test_a_node_in_one_pool_is_well() -> None:
    policy = Policy(pool="a", pools=("a",))
    assert ask(in_no_pool.RULE, cluster=POOLS, policy=policy).status == Status.PASS
    assert ask(in_rival_pools.RULE, cluster=POOLS, policy=policy).status == Status.PASS


def test_two_exclusive_pools_are_a_warning_that_names_them() -> None:
    policy = Policy(pool="a", pools=("a", "b", "c"), rivals=("a", "b"))
    result = ask(in_rival_pools.RULE, cluster=POOLS, policy=policy)
    assert result.findings[0].severity == Severity.WARNING
    assert "a, b." in result.findings[0].text
