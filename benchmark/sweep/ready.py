"""Whether the repository is in a state that workers can clone, and which state that is."""

import subprocess
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.sweep.graph import dvc

WRITTEN_BY_THE_PIPELINE = (":!dvc.lock", ":!results", ":!.gitignore")


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


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.rstrip()
