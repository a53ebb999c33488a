"""What `dvc plots diff` draws, with the axes and the template of dvc.yaml; rendered here, without a network."""

import json
from pathlib import Path
from typing import Any

import vl_convert
from dvc_render import VegaRenderer

from benchmark.config.reading import read_yaml
from benchmark.stages.evaluate import CURVE_COLUMNS, PLOTS

ROOT = Path(__file__).parents[2]
VEGA_LITE = "5.8"
"""The oldest version that is at hand; pages of DVC load 5.2."""


def chart_of(points: dict[str, list[tuple[str, ...]]]) -> dict[str, Any]:
    """The chart of revisions that have these points, as DVC reads them: all text."""
    (entry,) = read_yaml(ROOT / "dvc.yaml")["stages"]["evaluate"]["plots"]
    properties = entry[PLOTS.as_posix()]
    rows = [dict(zip(CURVE_COLUMNS, point, strict=True)) | {"rev": rev} for rev in points for point in points[rev]]
    chart = VegaRenderer(rows, "few_shot_movie.csv", template_dir=str(ROOT / ".dvc/plots"), **properties)
    return chart.get_filled_template()


def test_two_revisions_are_two_curves_with_intervals_in_each_method() -> None:
    curve = [("16", "0.55", "0.5", "0.6", "gru4rec"), ("64", "0.56", "0.5", "0.62", "gru4rec")]
    other = [("16", "0.7", "0.6", "0.8", "tallrec-movie"), ("64", "0.75", "", "", "tallrec-movie")]
    chart = chart_of({"HEAD": [*curve, *other], "lower": [*curve, *other]})
    assert "<DVC" not in json.dumps(chart)
    shown = vl_convert.vegalite_to_svg(chart, vl_version=VEGA_LITE)
    assert all(
        f">{text}</text>" in shown for text in ("gru4rec", "tallrec-movie", "HEAD", "lower", "AUC x100", "16", "64")
    )
    marks = {name: shown.count(f'aria-roledescription="{name}"') for name in ("line mark", "point", "rule mark")}
    # Chance is one rule in each part; an interval is another, and there is none where none is known.
    assert marks == {"line mark": 4, "point": 8, "rule mark": 2 + 2 * 3}
