from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.label_selectors import Requirement, SelectorError, parse


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
    with pytest.raises(SelectorError):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(SelectorError):
        parse(text)
