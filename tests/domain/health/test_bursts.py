from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.evaluation.subject import XidBurst
from fleet.domain.health.bursts import incidents, key
from tests.domain.health.subjects import burst

QUIET = timedelta(minutes=3)
JOB = "Job/team-a/train"


def names(*bursts: XidBurst) -> list[str]:
    result = incidents(bursts, QUIET, realm="east")
    return [result[key(burst)] for burst in bursts]


def test_one_crash_over_many_nodes_is_one_incident() -> None:
    crash = [burst(45, gpu, node=f"n{node}", ago_s=600 - node, job=JOB) for node in range(8) for gpu in range(8)]
    assert len(set(names(*crash))) == 1


def test_other_jobs_times_and_families_are_other_incidents() -> None:
    result = burst(13, node="n1", job=JOB)
    assert len(set(names(result, burst(13, node="n2", job="Job/team-b/train")))) == 2
    assert len(set(names(result, burst(13, node="n2", job=JOB, ago_s=600 + 181)))) == 2
    assert len(set(names(result, burst(48, node="n2", job=JOB)))) == 2


def test_a_cleanup_joins_what_caused_it() -> None:
    assert len(set(names(burst(79, node="n1", job=JOB), burst(45, node="n2", job=JOB)))) == 1


def test_without_a_job_an_incident_ends_at_its_node() -> None:
    assert len(set(names(burst(13, 0, node="n1"), burst(13, 1, node="n1")))) == 1
    assert len(set(names(burst(13, node="n1"), burst(13, node="n2")))) == 2


def test_what_goes_on_is_one_incident_from_end_to_end() -> None:
    chain = [burst(13, node=f"n{step}", job=JOB, ago_s=3600 - 150 * step) for step in range(10)]
    assert len(set(names(*chain))) == 1


def test_an_id_that_was_given_stays() -> None:
    first, second = burst(13, node="n1", job=JOB), burst(13, node="n2", job=JOB, ago_s=560)
    given_before = incidents([second], QUIET, realm="east")
    result = incidents([first, second], QUIET, known=given_before, realm="east")
    assert set(result.values()) == set(given_before.values())


def test_ids_of_two_clusters_differ() -> None:
    result = burst(13)
    assert incidents([result], QUIET, realm="east") != incidents([result], QUIET, realm="west")


@given(
    st.permutations(
        [burst(code, node=f"n{n}", job=JOB if n % 2 else "", ago_s=100 * n) for n, code in enumerate((13, 45, 48, 79, 13, 31))]
    )
)
def test_the_order_of_telling_does_not_matter(bursts: list[XidBurst]) -> None:
    assert incidents(bursts, QUIET) == incidents(sorted(bursts, key=key), QUIET)
