"""Samples of drawings and maps of nodes."""

from __future__ import annotations

from types import SimpleNamespace

LONG = "gke-a3-ultra-inference-pool-with-a-name-up-to-the-limit-3f2c9b1e"
HUGE_TILES = 1600


def _cells(*states: str) -> list[dict[str, object]]:
    return [{"state": state, "number": number} for number, state in enumerate(states)]


def _slices(*slices: tuple[str, int, str]) -> dict[str, object]:
    return {
        "slices": [
            {"profile": profile, "short": profile.partition(".")[0], "span": span, "state": state}
            for profile, span, state in slices
        ]
    }


def drawings() -> list[dict[str, object]]:
    def drawing(kind: str, label: str, **more: object) -> dict[str, object]:
        return {"kind": kind, "label": label, **more}

    free, taken = "free", "requested"
    return [
        drawing("full", "8 GPUs, 5 requested, 3 free", cells=_cells(*[taken] * 5, *[free] * 3)),
        drawing(
            "full",
            "8 GPUs, one broken, one held by a squatter",
            numbered=True,
            cells=_cells(*[taken] * 5, "broken", free, "squatter"),
        ),
        drawing("full", "4 GPUs, use unknown", cells=_cells(*["unknown"] * 4), note="pods could not be read"),
        drawing("full", "16 GPUs, 9 requested, 7 free", cells=_cells(*[taken] * 9, *[free] * 7)),
        drawing(
            "mig",
            "one GPU in 7 slices, 4 requested, 3 free",
            cards=[_slices(*[("1g.10gb", 1, taken)] * 4, *[("1g.10gb", 1, free)] * 3)],
        ),
        drawing(
            "mig",
            "one GPU in slices of different size",
            cards=[_slices(("3g.40gb", 3, taken), ("2g.20gb", 2, free), ("1g.10gb", 1, "broken"), ("", 1, "unused"))],
            note="1 of 7 parts in no slice",
        ),
        drawing(
            "shared",
            "one GPU, 4 shares, 3 requested",
            cards=[{"shares": _cells(taken, taken, taken, free)}],
            note="1 GPU, 4 shares, not isolated",
        ),
        drawing("shared", "one GPU, 20 shares", cards=[{"shares": _cells(*[taken] * 3, *[free] * 17)}], note="not isolated"),
    ]


def _tiles(number: int, odd: dict[int, str], stale: bool = False) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            cluster="prod-us-east",
            name=f"node-{place:04}",
            verdict=odd.get(place, "ready"),
            broken_rung="resources_advertised" if odd.get(place) == "not_ready" else "",
            reason="1 of 8 slots is not allocatable" if place in odd else "",
            since=None,
            stale=stale,
        )
        for place in range(number)
    ]


def maps() -> list[dict[str, object]]:
    def group(name: str, tiles: list[SimpleNamespace], stale: bool = False) -> SimpleNamespace:
        detail = "NVIDIA-H100-80GB-HBM3 · NVIDIA-H200 · NVIDIA-A100-SXM4-80GB and 4 more"
        all_of = 8 * len(tiles)
        return SimpleNamespace(name=name, detail=detail, stale=stale, usable=max(0, all_of - 9), expected=all_of, tiles=tiles)

    odd = {3: "degraded", 9: "not_ready", 14: "unknown", 17: "excluded", 20: "starting"}
    huge = _tiles(HUGE_TILES, dict.fromkeys(range(0, HUGE_TILES, 211), "not_ready"))
    return [
        {
            "groups": [
                group("prod-us-east", _tiles(40, odd)),
                group("research-onprem", _tiles(22, {**odd, 5: "degraded"}, stale=True), stale=True),
                group(LONG, _tiles(1, {})),
            ],
            "by_verdict": {"ready": 52, "degraded": 3, "not_ready": 2, "starting": 2, "unknown": 2, "excluded": 2},
        },
        {"groups": [group("huge", huge)], "by_verdict": {"ready": HUGE_TILES - 8, "not_ready": 8}},
    ]
