"""Whether the repository is in a state that workers can clone, and which state that is."""

import subprocess
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError
from benchmark.sweep.graph import dvc

WRITTEN_BY_THE_PIPELINE = (":!dvc.lock", ":!tallrec/dvc.lock", ":!results", ":!.gitignore", ":!tallrec/.gitignore")


def revision(folder: Path) -> str:
    """The checked-out commit, in full.

    Raises:
        ConfigError: it is no repository with a commit, its tree is not clean, or no DVC remote is the default one.
    """
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        raise ConfigError(f"{folder.resolve()}: no git commit that workers could clone")
    changes = _git(folder, "status", "--porcelain", "--", ".", *WRITTEN_BY_THE_PIPELINE)
    if changes:
        first = changes.splitlines()[0][3:]
        raise ConfigError(f"{first}: not committed, and workers run what is committed; commit or remove it first")
    remote = dvc(folder, "config", "--list").splitlines()
    if not any(line.split("=")[0].strip() == "core.remote" for line in remote):
        raise ConfigError("no default DVC remote for workers to share: dvc remote add -d shared ADDRESS, and commit it")
    return commit


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
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.rstrip()
