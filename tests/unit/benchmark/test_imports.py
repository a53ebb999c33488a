"""Commands on results start without torch, as far as to the end of their work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import Item
from benchmark.stages import evaluate

COMMANDS = (
    ["list"],
    ["validate"],
    ["show"],
    ["check", "--against", "results/metrics.csv"],
    ["compare", "results/metrics.csv", "results/metrics.csv"],
    ["export", "released", "movie", "--out", "movie.json"],
    ["use", "smoke"],
)
PROGRAM = """
import sys
from benchmark.cli import app
code = 0
try:
    app(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(code, sorted({"torch", "transformers"} & set(sys.modules)))
"""
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_that_runs_no_model_imports_none(
    finished_run: Path, params: Params, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(ROOT / "params.yaml", finished_run)
    if command[0] in ("show", "check", "compare", "export"):
        (finished_run / "params.yaml").write_text(json.dumps(params.model_dump(mode="json", serialize_as_any=True)))
        items = {name: Item(name, "movie", name, name) for name in ("i1", "i2")}
        files.write_items(paths.prepared_folder("movie") / "items.parquet", items)
        assert evaluate.main([]) == 0
    done = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["0 []"], done.stderr[-2000:]
