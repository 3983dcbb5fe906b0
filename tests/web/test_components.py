"""Figures, words, names and components: what they say, and above all what they never say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from fleet.templatetags import bar_ui, cluster_ui, formats, words

NOW = datetime(2026, 11, 23, 14, 32, 8, tzinfo=UTC)


def render(text: str, **context: Any) -> str:
    """A template's text with non-breaking spaces as spaces."""
    result = Template("{% load bar_ui map_ui ui fleet_ui node_ui cluster_ui %}" + text).render(Context({"now": NOW, **context}))
    return unescape(result).replace("\N{NO-BREAK SPACE}", " ")


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


# --- figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1064, "1,064"), (-3, "−3"), (71.83, "71.8"), (-0.01, "0.0"), (1234567.89, "1,234,567.9")],
)
def test_numbers_have_commas_and_a_real_minus(value: float, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_an_unmeasured_value_is_words(value: float | None) -> None:
    assert formats.number(value) == "unknown"


@given(st.none() | st.floats(allow_nan=True) | st.integers())
def test_unknown_is_never_a_zero_or_a_dash(value: float | None) -> None:
    shown = formats.number(value)
    if value is None:
        assert shown == "unknown"
    assert shown not in ("", "-", "–", "—")


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_claims_neither_all_nor_nothing_wrongly(part: int, whole: int) -> None:
    shown = plain(formats.share(min(part, whole), whole))
    assert (shown == "100.0 %") == (part >= whole)
    assert (shown == "0.0 %") == (part == 0)


@pytest.mark.parametrize(("part", "text"), [(0, "0.0 %"), (1, "0.1 %"), (5000, "50.0 %"), (9999, "99.9 %"), (10_000, "100.0 %")])
def test_the_last_and_the_first_are_seen_in_a_share(part: int, text: str) -> None:
    assert plain(formats.share(part, 10_000)) == text


def test_a_share_of_nothing_is_unknown() -> None:
    assert formats.share(3, 0) == formats.share(None, 8) == formats.share(3, None) == "unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (11_100, "3 h 05 min"),
        (75_600, "21 h"),
        (187_200, "2 d 4 h"),
        (518_400, "6 d"),
    ],
)
def test_ages_have_two_units_at_most(seconds: float, text: str) -> None:
    assert plain(formats.duration(seconds)) == text


def test_moments_are_utc_and_tell_another_year() -> None:
    tokyo = datetime(2026, 11, 23, 6, 47, tzinfo=UTC).astimezone()
    assert formats.moment(tokyo, NOW) == "Mon 23 Nov 06:47 UTC"
    assert formats.moment(NOW - timedelta(days=400), NOW) == "Sun 19 Oct 2025 14:32 UTC"
    assert formats.clock(NOW - timedelta(days=1), NOW) == "22 Nov 14:32"


@given(st.text(st.characters(codec="ascii", categories=("Ll", "Nd"), include_characters="-."), min_size=1, max_size=63))
def test_the_parts_of_a_name_make_it_whole_again(name: str) -> None:
    assert "".join(formats.parts(name)) == name
    assert len(formats.middle(name, 24)) <= 24


def test_names_keep_the_suffix_that_distinguishes_them() -> None:
    assert formats.parts("qwen3-32b-vllm-7d9f6c-xk2lp")[1] == "xk2lp"
    assert formats.parts("ip-10-40-17-203.ec2.internal") == ("ip-10-40-17-", "203", ".ec2.internal")
    assert formats.middle("qwen3-32b-vllm-7d9f6c-xk2lp", 20) == "qwen3-32b-vllm…xk2lp"


@pytest.mark.parametrize(
    ("sentence", "part"),
    [
        ("The node is cordoned.", "the node is cordoned"),
        ("In maintenance: new fans", "in maintenance: new fans"),
        ("MIG is being cut.", "MIG is being cut"),
        ("Otto takes it away.", "Otto takes it away"),
        ("driver_loaded", "driver_loaded"),
        ("", ""),
    ],
)
def test_a_sentence_within_another_has_no_stop_and_no_capital(sentence: str, part: str) -> None:
    assert formats.clause(sentence) == part


def test_a_cut_name_is_whole_in_the_page() -> None:
    name = "gke-a3-ultra-inference-pool-3f2c9b1e-k7qd.c.project.internal"
    shown = render("{% name name %}", name=name)
    assert re.sub("<[^>]+>", "", shown) == name
    assert f'title="{name}"' in shown


# --- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", words.SETS)
def test_unknown_ids_look_unknown(kind: str) -> None:
    for key in (None, "", "from_a_newer_version"):
        assert words.word(kind, key).look == "unknown"


def test_every_shape_is_drawn_and_every_look_has_its_colours() -> None:
    shapes = render_to_string("components/_shapes.html")
    styles = open("static/css/badges.css").read()  # noqa: PTH123, SIM115
    for known in words.SETS.values():
        for word in known.values():
            assert f'id="sh-{word.shape}"' in shapes
            assert f".v-{word.look} " in styles


def test_a_badge_says_its_word_beside_its_colour() -> None:
    shown = render('{% verdict "not_ready" %}{% state "partial" stale=True %}{% status "blocked" %}{% severity "fatal" %}')
    for word in ("Not ready", "Partly advertised", "Blocked", "Fatal", "(last known)"):
        assert word in shown


def test_texts_from_clusters_are_escaped() -> None:
    bad = '"><script>alert(1)</script>'
    tile = SimpleNamespace(cluster=bad, name=bad, verdict=bad, broken_rung=bad, reason=bad, since=NOW, stale=False)
    source = "{% load bar_ui map_ui ui fleet_ui %}{% name bad %}{% tiles tiles %}{% state bad %}{{ bad|unbroken }}"
    shown = Template(source).render(Context({"bad": bad, "tiles": [tile], "now": NOW}))
    assert "<script" not in shown.lower()
    assert shown.count("<a ") == 1


# --- figures on a page --------------------------------------------------------------------------------------------


def test_measured_says_words_or_a_unit() -> None:
    assert render('{% measured None "W" "not measured" %}') == '<span class="unknown">not measured</span>'
    assert render('{% measured 0 "W" %}') == '0 <span class="unit">W</span>'


@pytest.mark.parametrize("level", ["live", "late", "stale"])
def test_a_chip_carries_the_limits_the_browser_goes_on_judging_by(level: str, settings: Any) -> None:
    settings.COLLECT_INTERVAL = timedelta(seconds=60)
    read_at = NOW - timedelta(seconds=30)
    fresh = SimpleNamespace(level=level, read_at=read_at, unknown_at=read_at + timedelta(minutes=15))
    shown = render("{% freshness fresh %}", fresh=fresh)
    assert f'data-freshness="{level}"' in shown
    assert 'data-late-after="130"' in shown
    assert 'data-stale-after="900"' in shown


def test_a_cluster_never_read_has_no_age() -> None:
    shown = render("{% freshness fresh %}", fresh=SimpleNamespace(level="never", read_at=None, unknown_at=None))
    assert "Never collected" in shown
    assert "<time" not in shown


def test_a_meter_that_knows_nothing_is_no_empty_meter() -> None:
    assert "unknown" in render("{% meter None 8 %}")
    assert "<rect" not in render("{% meter None 8 %}") + render("{% meter 3 None %}")
    assert 'width="37.5%"' in render("{% meter 3 8 %}")


def test_one_node_among_thousands_is_seen_in_a_bar() -> None:
    segments = [bar_ui.Segment(4999, "Ready", "v-ready"), bar_ui.Segment(1, "Not ready", "v-not_ready")]
    widths = [float(item) for item in re.findall(r' width="([\d.]+)%"', render("{% bar_stack s %}", s=segments))]
    assert widths[1] > 1.9
    assert sum(widths) == pytest.approx(100, abs=0.1)


def test_only_the_first_tile_stands_in_the_tab_order() -> None:
    ready = {"verdict": "ready", "broken_rung": "", "reason": "Every rung passes.", "since": NOW, "stale": False}
    tiles = [SimpleNamespace(cluster="c", name=f"n{i}", **ready) for i in range(3)]
    shown = render("{% tiles tiles True %}", tiles=tiles)
    assert shown.count('tabindex="0"') == 1
    assert shown.count('tabindex="-1"') == 2
    assert 'href="/nodes/c/n0/"' in shown
    assert "<svg" not in shown, "a ready tile is plain"


def test_no_component_needs_a_script_or_a_style_in_the_page() -> None:
    shown = render_to_string(
        "components/_chart.html", {"chart": {"id": "x", "figure": {"a": "</script>"}, "rows": [], "columns": []}}
    )
    assert not re.search(r"\son\w+=|style=", shown)
    assert shown.count("</script>") == 1


# --- clusters -----------------------------------------------------------------------------------------------------


def test_the_missing_rules_are_written_as_rbac() -> None:
    missing = [
        {"verb": "list", "group": "", "resource": "events", "namespace": "default"},
        {"verb": "list", "group": "", "resource": "pods", "namespace": ""},
        {"verb": "list", "group": "apps", "resource": "daemonsets", "namespace": ""},
        {"verb": "list", "group": "", "resource": "nodes", "namespace": ""},
    ]
    assert cluster_ui.rbac_rules(missing) == (
        '- apiGroups: [""]\n  resources: ["pods", "nodes"]\n  verbs: ["list"]\n'
        '- apiGroups: ["apps"]\n  resources: ["daemonsets"]\n  verbs: ["list"]\n'
        '# in a Role of the namespace default\n- apiGroups: [""]\n  resources: ["events"]\n  verbs: ["list"]'
    )


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("nvcr.io/nvidia/k8s-device-plugin:v0.20.0", "v0.20.0"),
        ("localhost:5000/plugin", "latest"),
        ("host/plugin@sha256:0123456789abcdef0123", "sha256:0123456789ab"),
        ("host/plugin:1.2@sha256:0123456789abcdef0123", "1.2"),
        ("", "unknown"),
    ],
)
def test_the_version_of_an_image(image: str, version: str) -> None:
    assert cluster_ui.image_version(image) == version
