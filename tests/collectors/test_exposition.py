from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fleet.collectors.exposition import Sample, decode, parse
from tests.collectors.pages import line, page, whole_page

NAME = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True).filter(lambda name: not name.endswith("_total"))
LABEL = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: not name.startswith("__"))
VALUE = st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12)
NUMBER = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(2**63), 2**63).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "1e-07", "69.832000", "0"]),
)
AT = st.one_of(st.just(""), st.integers(0, 2**41).map(lambda at: f" {at}"))
LINE = st.builds(
    lambda name, labels, number, at: line(name, labels, number) + at, NAME, st.dictionaries(LABEL, VALUE, max_size=4), NUMBER, AT
)


def official(text: str) -> list[Sample]:
    """The same page, as the official parser reads it. Its untyped samples stand as they are; whole numbers are floats, as
    Prometheus keeps them."""
    return [
        Sample(
            sample.name,
            dict(sample.labels),
            float(sample.value),
            None if sample.timestamp is None else round(float(sample.timestamp) * 1000),
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def same(sample: Sample, other: Sample) -> bool:
    values = (sample.value == other.value) or (math.isnan(sample.value) and math.isnan(other.value))
    return values and (sample.name, sample.labels, sample.at_ms) == (other.name, other.labels, other.at_ms)


@given(st.lists(LINE, max_size=6))
@example([line("a", {"b": 'with "quotes", {braces}, back\\slash, new\nline'}, 1)])
@example([line("a", {"b": "\\n is no new line"}, 1)])
@example(["DCGM_FI_DEV_GPU_TEMP{} 3", "up 1 1700000000000"])
@example([f"a {2**53 + 1}"])
def test_reads_what_the_official_parser_reads(lines: list[str]) -> None:
    text = page("# HELP some words", *lines)
    result, item = list(parse(text)), official(text)
    assert len(result) == len(item)
    # The official one gathers a name's samples; the order within a name is the page's in both.
    result.sort(key=lambda row: row.name)
    item.sort(key=lambda their: their.name)
    assert all(same(value, other) for value, other in zip(result, item, strict=True))


def test_a_whole_page() -> None:
    text = whole_page(8)
    result, item = list(parse(text)), official(text)
    assert len(result) > 8 * 40
    assert result == item


def test_only_what_is_wanted() -> None:
    text = whole_page(2)
    assert {item.name for item in parse(text, {"DCGM_FI_DEV_FB_USED"})} == {"DCGM_FI_DEV_FB_USED"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# TYPE a gauge\n",
        "<html><body>503 Service Unavailable</body></html>",
        '{"kind": "Status", "code": 403}',
        'a{b="never closed} 1',
        'a{b="1"} not-a-number',
        "just words",
    ],
)
def test_what_is_no_page_holds_no_sample(text: str) -> None:
    assert list(parse(text)) == []


def test_one_broken_line_costs_only_itself() -> None:
    text = 'a 1\nb{x="1" 2\nc{x="1"} 3\r\n'
    assert [(item.name, item.value) for item in parse(text)] == [("a", 1.0), ("c", 3.0)]


def test_bytes_that_are_no_utf8_are_marked() -> None:
    assert decode(b'a{b="\xff"} 1') == 'a{b="\ufffd"} 1'


@pytest.mark.parametrize(
    "line",
    ["a" * 200_000 + " b c", "a{" + "b" * 200_000 + "} 1", 'a{b="' + "c" * 200_000 + " 1", "a" + " " * 200_000 + "x y z"],
    ids=["a long name", "a long label", "a value that never ends", "a long blank"],
)
def test_a_line_that_is_none_is_passed_over_however_long_it_is(line: str) -> None:
    """Read in one pass: a retry from each letter would take hours, and any pod can write such a line."""
    assert [sample.name for sample in parse(f"{line}\nup 1\n")] in (["up"], ["a", "up"])
