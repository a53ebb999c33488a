"""`docs/results.md`: every output file is on it with its columns, and its code runs."""

import csv
import re
from pathlib import Path

import pytest

from benchmark.config.pipeline import pipeline_stages
from benchmark.stages import evaluate, report

REPOSITORY = Path(__file__).parents[4]
PAGE = (REPOSITORY / "docs/results.md").read_text()


def test_every_file_of_the_results_is_on_the_page() -> None:
    stages = [pipeline_stages(REPOSITORY)[name] for name in ("evaluate", "report")]
    outputs = [
        name for stage in stages for kind in ("outs", "metrics", "plots") for out in stage.get(kind, []) for name in out
    ]
    assert len(outputs) > 20
    assert not [name for name in outputs if f"`{name}`" not in PAGE]


def test_every_column_is_named_and_every_line_of_code_runs(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    sections = re.findall(r"^### `([^`]+)`.*?\n(.*?)```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(sections) == 15
    key = set(re.findall(r"`(\w+)`", PAGE.partition("## Results")[0]))
    for name, text, code in sections:
        if name.endswith(".csv"):
            with (finished_run / name).open() as stream:
                columns = next(csv.reader(stream))
            assert set(columns) - key <= set(re.findall(r"`(\w+)`", text)), name
        assert len(code.splitlines()) == 3
        capsys.readouterr()
        exec(code, {})
        assert capsys.readouterr().out, name
