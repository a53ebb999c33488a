"""A tree that git cannot read is none that is clean."""

import subprocess
from pathlib import Path

import pytest

from benchmark.errors import ConfigError
from benchmark.sweep.ready import revision


def test_a_tree_that_git_cannot_read_is_refused_in_gits_words(tmp_path: Path) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / ".git/index").write_bytes(b"DIRC")
    with pytest.raises(ConfigError, match=r"git status: fatal: .*index"):
        revision(tmp_path)
