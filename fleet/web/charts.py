"""Charts as Plotly figures in plain dicts: no plotly.py, and colours as the page's tokens ("var(--bar)")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.templatetags import formats, words

Chart = dict[str, Any]
_COLOURS = {"ready": "var(--bar)", "degraded": "var(--degraded-fill)", "not_ready": "var(--notready-fill)"}


def pass_durations(runs: Sequence[Any]) -> Chart | None:
    """How long the passes over a cluster took (CollectionRun rows, newest first), for components/_chart.html; None below two."""
    done = [run for run in reversed(runs) if run.finished_at is not None]
    if len(done) < 2:
        return None
    seconds = [(run.finished_at - run.started_at).total_seconds() for run in done]
    known = [words.word("outcome", run.outcome) for run in done]
    slowest = max(range(len(done)), key=seconds.__getitem__)
    usual = sorted(seconds)[len(seconds) // 2]
    failed = sum(1 for run in done if run.outcome in ("failed", "lost"))
    sentence = (
        f"A pass takes {formats.took(1000 * usual)}; the slowest of the {len(done)} shown, at "
        f"{formats.clock(done[slowest].started_at)}, took {formats.took(1000 * seconds[slowest])}. "
        f"{'None' if not failed else formats.number(failed)} failed."
    )
    place = list(range(len(done)))
    every = max(1, len(done) // 8)
    bar = {
        "type": "bar",
        "x": place,
        "y": [round(value, 3) for value in seconds],
        "text": [f"{formats.moment(run.started_at)}: {one.word}" for run, one in zip(done, known, strict=True)],
        "textposition": "none",
        "hovertemplate": "%{text}, %{y:.2f} s<extra></extra>",
        "marker": {"color": [_COLOURS.get(one.look, "var(--unknown-fill)") for one in known]},
    }
    ticks = {"tickvals": place[::every], "ticktext": [formats.clock(run.started_at) for run in done[::every]]}
    return {
        "id": "passes",
        "sentence": sentence,
        "figure": {"data": [bar], "layout": {"yaxis": {"ticksuffix": " s"}, "xaxis": ticks, "hovermode": "closest"}},
        "columns": ["Started", "Took", "Outcome"],
        "rows": [
            [formats.moment(run.started_at), formats.took(1000 * value), one.word]
            for run, value, one in zip(done, seconds, known, strict=True)
        ],
    }
