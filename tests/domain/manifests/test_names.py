"""Names of objects that are of a whole cluster: two classes, pools or namespaces never make the same one."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from fleet.domain.manifests.admission import namespace_policy
from fleet.domain.manifests.kueue import joined_name
from tests.domain.manifests.test_admission import asked

LABEL = st.from_regex(r"[a-b](?:[-a-b1]{0,61}[a-b])?", fullmatch=True)
PAIR = st.tuples(LABEL, LABEL)
LONG = "a" * 63


@given(first=PAIR, second=PAIR)
@example(first=("team-a", "b"), second=("team", "a-b"))
@example(first=("a" * 24, "b" * 30), second=("a" * 24, "b" * 31))
@example(first=(LONG, "b"), second=(LONG, "c"))
@example(first=(LONG, LONG), second=(LONG, "a" * 62))
def test_two_pairs_make_two_names(first: tuple[str, str], second: tuple[str, str]) -> None:
    names = joined_name(*first), joined_name(*second)
    assert (names[0] == names[1]) is (first == second)
    assert all(len(name) <= 63 and all(part[0] + part[-1] != "-" for part in name.split(".")) for name in names)


def test_a_shortened_name_is_never_one_that_two_short_labels_make() -> None:
    shortened = joined_name(LONG, LONG)
    assert shortened.count(".") == 2, "labels have no dot: two of them make a name with one"


@given(first=LABEL, second=LABEL)
@example(first="team", second="team-claims")
@example(first="a", second="a-a")
def test_policies_of_two_namespaces_have_different_names(first: str, second: str) -> None:
    names = [
        (document["kind"], document["metadata"]["name"])
        for namespace in {first, second}
        for document in namespace_policy([asked("dra")], namespace)
    ]
    assert len(set(names)) == len(names)
