from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.catalog.gpus import find, load
from fleet.domain.devices.mig import canonical, fewest_cards, fit, parse_profile, sort_key


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1g.10gb", "1g.10gb"),
        ("1g.10gb+me", "1g.10gb+me"),
        ("1g.10gb.me", "1g.10gb+me"),  # label and resource form
        ("1g.10gbme", "1g.10gb+me"),  # product label form
        ("1g.24gb.me.all", "1g.24gb+me.all"),
        ("1g.24gb-me", "1g.24gb-me"),
        ("2g.48gb+gfx", "2g.48gb+gfx"),
        ("1c.3g.40gb", "1c.3g.40gb"),
        ("7g.141gb", "7g.141gb"),
    ],
)
def test_spellings_of_a_profile(text: str, name: str) -> None:
    profile = parse_profile(text)
    assert profile is not None
    assert profile.name == name
    assert canonical(text) == name


@pytest.mark.parametrize("text", ["", "1g", "10gb", "0g.5gb", "1g.5gb+", "1g.5GB", "xg.5gb", "1g.5gb.shared"])
def test_what_is_no_profile(text: str) -> None:
    assert parse_profile(text) is None
    assert canonical(text) == text
    assert fit(text, None) is None


@pytest.mark.parametrize(
    ("product", "profile", "most"),
    [
        ("NVIDIA-A100-SXM4-40GB", "1g.10gb", 4),
        ("NVIDIA-A100-SXM4-80GB", "1g.10gb", 7),
        ("NVIDIA-H200", "1g.35gb", 4),
        ("NVIDIA-GB300", "1g.35gb", 7),
        ("NVIDIA-H100-NVL", "1g.24gb", 4),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "1g.24gb", 4),
        ("NVIDIA-A30", "2g.12gb", 2),
        ("NVIDIA-H100-80GB-HBM3", "3g.40gb", 2),
        ("NVIDIA-H100-80GB-HBM3", "1g.10gb+me", 1),
    ],
)
def test_the_same_profile_differs_by_product(product: str, profile: str, most: int) -> None:
    room = fit(profile, find(product))
    assert room is not None
    assert (room.most, room.certain) == (most, True)


def test_an_unknown_card_gets_an_upper_bound() -> None:
    assert [fit(f"{slices}g.10gb", None).most for slices in (1, 2, 3, 4, 7)] == [7, 3, 2, 1, 1]  # type: ignore[union-attr]
    assert fit("1g.10gb", None).certain is False  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("instances", "cards"),
    [
        ({"1g.10gb": 7}, 1),
        ({"1g.10gb": 8}, 2),
        ({"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}, 8),  # all-balanced on eight cards
        ({"3g.40gb": 2}, 1),
        ({"3g.40gb": 2, "1g.10gb": 1}, 2),  # one compute slice is left, but no memory slice
        ({"4g.40gb": 1, "3g.40gb": 1}, 1),
        ({"1g.10gb+me": 3}, 3),
        ({"7g.80gb": 2, "1g.10gb": 1}, 3),
        ({}, 0),
        ({"nonsense": 4}, 0),
        ({"1g.10gb": 0}, 0),
    ],
)
def test_fewest_cards(instances: dict[str, int], cards: int) -> None:
    assert fewest_cards(instances, find("NVIDIA-H100-80GB-HBM3")) == cards


@given(st.integers(1, 16), st.sampled_from([model for model in load().gpu if model.geometry]), st.data())
def test_full_cards_of_one_profile_are_counted_exactly(cards: int, model, data) -> None:  # type: ignore[no-untyped-def]
    profile, most = data.draw(st.sampled_from(sorted(load().geometry[model.geometry].profiles.items())))
    assert fewest_cards({profile: cards * most}, model) == cards


@pytest.mark.slow
@given(st.dictionaries(st.text(), st.integers(-5, 100)))
def test_never_raises(instances: dict[str, int]) -> None:
    assert fewest_cards(instances, None) >= 0
    sorted(instances, key=sort_key)


@given(st.text())
def test_parsing_never_raises(text: str) -> None:
    parse_profile(text)
