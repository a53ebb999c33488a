"""After `make smoke` with a planted key in the environment: no output holds it."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke
OUTPUTS = ("results", "runs", "predictions", "models", "data", "scratch", "dvc.lock", "dvc.yaml", "params.yaml", ".dvc")


def test_a_planted_key_is_in_no_output() -> None:
    key = os.environ["OPENAI_API_KEY"]
    assert key.startswith("sk-planted-"), "run `make smoke` and this with the same planted OPENAI_API_KEY"
    roots = [Path(name) for name in OUTPUTS]
    paths = [path for root in roots for path in (root.rglob("*") if root.is_dir() else [root]) if path.is_file()]
    assert {path.suffix for path in paths} >= {".json", ".html", ".csv", ".md", ".parquet", ".lock"}
    assert len(paths) > 100
    assert [path for path in paths if key.encode() in path.read_bytes()] == []
