from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.label_selectors import (
    Requirement,
    checked,
    from_expression,
    matches,
    parse,
    to_expression,
    to_text,
)
from fleet.domain.refusals import FieldError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ("a=b", (Requirement("a", "in", ("b",)),)),
        ("a==b", (Requirement("a", "in", ("b",)),)),
        ("nvidia.com/gpu.product=Tesla-T4", (Requirement("nvidia.com/gpu.product", "in", ("Tesla-T4",)),)),
        ("a=", (Requirement("a", "in", ("",)),)),
        ("a!=b", (Requirement("a", "notin", ("b",)),)),
        ("a", (Requirement("a", "exists"),)),
        ("!a", (Requirement("a", "absent"),)),
        ("a in (b, c)", (Requirement("a", "in", ("b", "c")),)),
        ("a notin (b)", (Requirement("a", "notin", ("b",)),)),
        ("a>5,b<7", (Requirement("a", "gt", ("5",)), Requirement("b", "lt", ("7",)))),
        (
            "a=b, !c ,d in (e,f)",
            (Requirement("a", "in", ("b",)), Requirement("c", "absent"), Requirement("d", "in", ("e", "f"))),
        ),
        ("in=x", (Requirement("in", "in", ("x",)),)),
    ],
)
def test_grammar(text: str, expected: tuple[Requirement, ...]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["a>b", "a in b", "=x", "a=b=c", "a in (b", "a b"])
def test_what_is_no_selector_says_so(text: str) -> None:
    with pytest.raises(FieldError):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(FieldError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a=b", {}, False),
        ("a!=b", {}, True),  # what is not there is also not b
        ("a notin (b,c)", {"a": "c"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a>5", {"a": "6"}, True),
        ("a>5", {"a": "5"}, False),
        ("a<5", {"a": "many"}, False),
        ("a<5", {}, False),
        ("a<-1", {"a": "-2"}, True),
        ("a=b,c", {"a": "b"}, False),
    ],
)
def test_who_is_selected(text: str, labels: dict[str, str], expected: bool) -> None:
    assert matches(parse(text), labels) is expected


@pytest.mark.parametrize(
    ("key", "operator", "values", "says"),
    [
        ("a", "Like", ["b"], "is not an operator"),
        ("a b", "Exists", [], "is not a valid label key"),
        ("UPPER.example/a", "Exists", [], "is not a valid label key"),
        ("a", "Exists", ["b"], "takes no values"),
        ("a", "In", [], "at least one value"),
        ("a", "In", ["b c"], "is not a label value"),
        ("a", "Gt", ["five"], "a whole number"),
        ("a", "Lt", ["1", "2"], "exactly one value"),
    ],
)
def test_an_expression_kubernetes_would_refuse_is_refused_with_a_sentence(
    key: str, operator: str, values: list[str], says: str
) -> None:
    with pytest.raises(FieldError, match=says):
        from_expression(key, operator, values)


KEYS = st.sampled_from(["a", "nvidia.com/gpu.product", "x_y.z"])
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement, KEYS, st.sampled_from(["in", "notin"]), st.lists(st.sampled_from(["b", "c", "1"]), min_size=1).map(tuple)
    ),
    st.builds(Requirement, KEYS, st.sampled_from(["exists", "absent"])),
    st.builds(Requirement, KEYS, st.sampled_from(["gt", "lt"]), st.integers(-99, 99).map(lambda number: (str(number),))),
)


@pytest.mark.slow
@given(st.lists(REQUIREMENTS).map(tuple))
def test_both_ways_of_writing_a_selector_come_back_as_they_were(requirements: tuple[Requirement, ...]) -> None:
    assert parse(to_text(requirements)) == requirements
    assert checked(requirements) == requirements
    expressions = [to_expression(requirement) for requirement in requirements]
    assert tuple(from_expression(**{"values": (), **expression}) for expression in expressions) == requirements
