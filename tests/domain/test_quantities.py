from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.quantities import LARGEST_UNITS, ceil_div, parse_count, parse_gib_label, parse_quantity, parse_units, to_mib


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8", 8),
        ("0", 0),
        ("1k", 1000),
        ("191G", 191 * 10**9),
        ("81559Mi", 81559 * 1024**2),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("500m", Fraction(1, 2)),
        ("-3", -3),
        ("+3", 3),
        (".5Gi", 1024**3 // 2),
        ("1.", 1),
        ("2n", Fraction(2, 10**9)),
        ("1e-2", Fraction(1, 100)),
        ("960Gi", 960 * 1024**3),
    ],
)
def test_quantities_are_exact(text: str, number: Fraction) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize(
    "text", ["", ".", "-", "k", "1kk", "1 k", "1e", "0x8", "NaN", "inf", "٣", "1e999999999", "9" * 500, "8\n", None]
)
def test_what_is_no_quantity_is_none(text: str | None) -> None:
    assert parse_quantity(text) is None
    assert parse_units(text) is None


@pytest.mark.parametrize(
    ("text", "units"), [("8", 8), ("1k", 1000), ("1e3", 1000), ("0.5", None), ("500m", None), ("1000m", 1), ("-1", None)]
)
def test_units_are_whole_and_not_negative(text: str, units: int | None) -> None:
    assert parse_units(text) == units


@pytest.mark.parametrize(
    ("text", "count"), [("8", 8), ("08", 8), ("", None), ("1k", None), ("-1", None), ("²", None), ("9" * 30, None)]
)
def test_label_counts(text: str, count: int | None) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "mib"), [("191G", 191 * 1024), ("64G", 65536), ("192Gi", 196608), ("x", None), ("", None), (None, None), ("G", None)]
)
def test_vram_labels_are_gib(text: str | None, mib: int | None) -> None:
    assert parse_gib_label(text) == mib


def test_mib_and_ceil() -> None:
    assert to_mib(81559 * 1024**2 + 5) == 81559
    assert to_mib(None) is None
    assert (ceil_div(7, 7), ceil_div(8, 7), ceil_div(0, 7)) == (1, 2, 0)


@given(st.text())
def test_parsing_never_raises(text: str) -> None:
    for parse in (parse_quantity, parse_units, parse_count, parse_gib_label):
        parse(text)


@given(st.integers(min_value=0, max_value=10**15), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi"]))
def test_whole_numbers_survive(number: int, suffix: str) -> None:
    factor = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[suffix]
    amount = number * factor
    assert parse_units(f"{number}{suffix}") == (amount if amount <= LARGEST_UNITS else None)


@pytest.mark.parametrize(("text", "count"), [("3000000000", 3 * 10**9), ("3000000001", None), ("9" * 18, None), ("9" * 19, None)])
def test_a_count_that_no_node_has_is_unknown(text: str, count: int | None) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(("text", "units"), [("1000000000000", 10**12), ("1000000000001", None), ("9E", None), ("9e99", None)])
def test_an_amount_that_no_resource_has_is_unknown(text: str, units: int | None) -> None:
    assert parse_units(text) == units
