"""Commands on results start without torch, as far as to the end of their work."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import Item
from benchmark.stages import evaluate

ON_PARAMS = (["list"], ["validate"], ["use", "smoke"])
ON_RESULTS = (
    ["show"],
    ["check", "--against", "results/metrics.csv"],
    ["compare", "results/metrics.csv", "results/metrics.csv"],
    ["export", "released", "movie", "--out", "movie.json"],
)
PROGRAM = """
import json, sys
from benchmark.cli import app
for command in json.loads(sys.argv[1]):
    code = 0
    try:
        app(command)
    except SystemExit as end:
        code = end.code
    print("ended:", command[0], code, sorted({"torch", "transformers"} & set(sys.modules)))
"""
"""The commands one after the other, since all of them share what they import; the first that imports torch is told."""
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("commands", [ON_PARAMS, ON_RESULTS], ids=["on params.yaml", "on results"])
def test_a_command_that_runs_no_model_imports_none(
    finished_run: Path, params: Params, commands: tuple[list[str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(ROOT / "params.yaml", finished_run)
    if commands == ON_RESULTS:
        (finished_run / "params.yaml").write_text(json.dumps(params.model_dump(mode="json", serialize_as_any=True)))
        items = {name: Item(name, "movie", name, name) for name in ("i1", "i2")}
        files.write_items(paths.prepared_folder("movie") / "items.parquet", items)
        assert evaluate.main([]) == 0
    program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    ended = [line for line in done.stdout.splitlines() if line.startswith("ended: ")]
    assert ended == [f"ended: {command[0]} 0 []" for command in commands], done.stderr[-2000:]


@pytest.mark.parametrize(("n_free", "is_stored"), [(10, False), (1 << 20, True)])
def test_no_bytecode_is_stored_on_a_disk_that_is_nearly_full(n_free: int, is_stored: bool) -> None:
    room = f"os.statvfs_result((4096, 4096, {n_free}, {n_free}, {n_free}, 0, 0, 0, 0, 255))"
    program = f"import os, sys; os.statvfs = lambda _: {room}; import benchmark; print(not sys.dont_write_bytecode)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, env=environment, check=True)
    assert done.stdout.decode().strip() == str(is_stored)
