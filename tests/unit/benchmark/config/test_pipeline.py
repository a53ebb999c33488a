"""Stages unfolded here are those that DVC unfolds."""

from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from benchmark.config.pipeline import locked_stages, unfolded
from benchmark.config.reading import read_yaml
from benchmark.errors import ConfigError
from benchmark.methods.configuration import merge_presets

ROOT = Path(__file__).parents[4]


@pytest.mark.slow
@pytest.mark.parametrize("presets", [[], ["real-cpu", "llm/gemma-3-270m", "in-depth"]])
def test_names_commands_and_files_are_those_of_dvc(
    presets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dvc.yaml", "params.yaml", "tallrec/dvc.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    if presets:
        merge_presets(presets, tmp_path / "params.yaml", write=True)
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)

    def places(some: Any) -> set[str]:
        return {str(Path(one.fs_path).relative_to(tmp_path)) for one in some}

    theirs: dict[str, Any] = {stage.addressing: stage for stage in Repo().index.stages}
    ours = {stage.name: stage for stage in unfolded(Path(), read_yaml(Path("params.yaml")))}
    assert ours.keys() == theirs.keys()
    for name, stage in theirs.items():
        assert ours[name].command == stage.cmd.strip()
        assert {*ours[name].outs} == places(stage.outs)
        assert {*ours[name].deps} == places(dep for dep in stage.deps if not hasattr(dep, "params"))


def test_locks_of_both_files_are_read_by_the_names_of_dvc(tmp_path: Path) -> None:
    assert locked_stages(tmp_path) == {}
    (tmp_path / "tallrec").mkdir()
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  draw:\n    cmd: a\n")
    (tmp_path / "tallrec/dvc.lock").write_text("schema: '2.0'\nstages:\n  base:\n    cmd: b\n")
    assert locked_stages(tmp_path) == {"draw": {"cmd": "a"}, "tallrec/dvc.yaml:base": {"cmd": "b"}}
    (tmp_path / "dvc.lock").write_text("stages:\n  draw: {\n")
    with pytest.raises(ConfigError, match=r"dvc\.lock: not valid YAML"):
        locked_stages(tmp_path)


def test_a_lock_may_be_larger_than_a_configuration(tmp_path: Path) -> None:
    entries = "".join(f"  s{n}:\n    cmd: c\n    deps: [{', '.join(['a'] * 100)}]\n" for n in range(1100))
    (tmp_path / "dvc.lock").write_text(f"stages:\n{entries}")
    assert len(locked_stages(tmp_path)) == 1100
