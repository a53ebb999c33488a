"""Whether the repository is in a state that workers can clone, and which state that is."""

import subprocess
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.artifacts.provenance import git_environment, head_commit
from benchmark.errors import ConfigError, last_words
from benchmark.sweep.graph import dvc

WRITTEN_BY_THE_PIPELINE = (":!dvc.lock", ":!tallrec/dvc.lock", ":!results", ":!.gitignore", ":!tallrec/.gitignore")


def revision(folder: Path) -> str:
    """The checked-out commit, in full.

    Raises:
        ConfigError: it is no repository with a commit, its tree is not clean, or workers see no default DVC remote.
    """
    commit, problem = head_commit(folder)
    if not commit:
        raise ConfigError(f"{folder.resolve()}: no git commit that workers could clone: {problem}")
    changes = _git(folder, "status", "--porcelain", "--", ".", *WRITTEN_BY_THE_PIPELINE)
    if changes:
        first = changes.splitlines()[0][3:]
        raise ConfigError(f"{first}: not committed, and workers run what is committed; commit or remove it first")
    _refuse_unshared_remote(folder)
    return commit


def _refuse_unshared_remote(folder: Path) -> None:
    """Refuse a DVC remote that clones do not see: git holds `.dvc/config` and never `.dvc/config.local`."""
    advice = "dvc remote add -d shared ADDRESS, and commit .dvc/config"
    settings: dict[str, str] = {}
    own: set[str] = set()
    for line in dvc(folder, "config", "--list", "--show-origin").splitlines():
        origin, _, setting = line.partition("\t")
        key, _, value = setting.partition("=")
        if origin.endswith("config.local"):
            own.add(key)
        else:
            settings[key] = value
    wanted = ["core.remote", *([f"remote.{settings['core.remote']}.url"] if "core.remote" in settings else [])]
    lacking = next((key for key in wanted if key not in settings), None)
    if lacking is not None and own & {lacking, "core.remote"}:
        raise ConfigError(f".dvc/config.local: {lacking} stands there alone, and no worker sees that file: {advice}")
    if lacking is not None:
        raise ConfigError(f"no default DVC remote for workers to share ({lacking} is not set): {advice}")


def refuse_leftovers(folder: Path, stages: Collection[str]) -> None:
    """Refuse what no stage made in a folder of outputs that one of `stages` reads as a whole: no worker has it.

    Raises:
        ConfigError: something is there, as of a grid that was larger; with every such file or folder.
    """
    opened: Any = import_module("dvc.repo").Repo(str(folder))
    with opened as repo:
        outs = {Path(out.fs_path) for out in repo.index.outs}
        read = {Path(dep.fs_path) for stage in repo.index.stages if stage.addressing in stages for dep in stage.deps}
    shared = {parent for out in outs for parent in out.parents}
    if not read & shared:
        return
    root, found = folder.resolve(), set[Path]()
    for name in _git(folder, "ls-files", "--others", "-z", "--", *map(str, read & shared)).split("\0")[:-1]:
        path = root / name
        found.add(next(one for one in (*reversed(path.parents), path) if one not in shared))
    leftovers = sorted(str(path.relative_to(root)) for path in found - outs)
    if leftovers:
        names = ", ".join(leftovers)
        raise ConfigError(f"{names}: no stage makes it, cells read the folder, and workers lack it; remove it first")


def _git(folder: Path, *arguments: str) -> str:
    """What git says; where it fails, no tree counts as clean.

    Raises:
        ConfigError: git failed.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=git_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"{folder.resolve()}: git {arguments[0]}: {last_words(done.stderr)}")
    return done.stdout.rstrip()
