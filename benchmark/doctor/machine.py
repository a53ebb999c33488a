"""What a machine has for a run: interpreter, packages, commit, cores, memory, disk, GPU, DVC, mirror. No network."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from benchmark.artifacts.paths import MIRROR_VARIABLE
from benchmark.artifacts.provenance import head_commit

MIN_PYTHON = (3, 11)
MIN_DISK_GB = 10
MIN_MEMORY_GB = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    subject: str
    found: str
    is_fine: bool = True
    """False: a run would fail or would not be the one of constraints.txt."""


def findings(root: Path) -> list[Finding]:
    """All findings, for the repository at `root`."""
    return [
        _python(),
        _packages(root / "constraints.txt"),
        _code(root),
        _git(root),
        Finding("cores", str(os.cpu_count())),
        _memory(),
        _disk(root),
        Finding(
            "GPU",
            _first_line(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]) or "none",
        ),
        _dvc(root),
        _mirror(),
    ]


def _python() -> Finding:
    return Finding("Python", platform.python_version(), sys.version_info >= MIN_PYTHON)


def _packages(constraints: Path) -> Finding:
    if not constraints.exists():
        return Finding("packages", f"{constraints.name}: not there; run in the repository root", False)
    lines = [line.strip() for line in constraints.read_text().splitlines()]
    pins = dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    try:
        asked = [line for line in requires("tallrec-bench") or () if "extra ==" not in line]
    except PackageNotFoundError:
        return Finding("packages", "tallrec-bench: not installed; make install", False)
    needed = {_normalised(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in asked}
    differing: list[str] = []
    for name, pinned in pins.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            if _normalised(name) in needed:  # the others are constraints, which require nothing
                differing.append(f"no {name}")
            continue
        if installed.split("+")[0] != pinned:  # a local part such as +cpu is a build of the same version
            differing.append(f"{name} {installed} instead of {pinned}")
    if differing:
        return Finding("packages", f"not as in {constraints.name}: {', '.join(differing)}", False)
    return Finding("packages", f"as in {constraints.name}")


def _normalised(name: str) -> str:
    """As constraints.txt writes the name of a package, which may be `ruamel.yaml` where it is required."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _code(root: Path) -> Finding:
    """Stages run the modules of the repository they are started in; this command may come from elsewhere."""
    own = Path(__file__).parents[1]
    is_other = (root / own.name).is_dir() and not own.samefile(root / own.name)
    return Finding("code", f"{own}, while stages run that of this folder" if is_other else str(own), not is_other)


def _git(root: Path) -> Finding:
    """Every record of a run names the commit that made it."""
    commit, problem = head_commit(root)
    if commit is None:
        return Finding("git", f"no commit: {problem}", False)
    return Finding("git", f"commit {commit[:12]}")


def _memory() -> Finding:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding("memory", f"{gigabytes:.0f} GiB, smoke needs {MIN_MEMORY_GB}", gigabytes >= MIN_MEMORY_GB)


def _disk(root: Path) -> Finding:
    gigabytes = shutil.disk_usage(root).free / 2**30
    return Finding("free disk", f"{gigabytes:.0f} GiB, smoke needs {MIN_DISK_GB}", gigabytes >= MIN_DISK_GB)


def _dvc(root: Path) -> Finding:
    if not (root / ".dvc").is_dir():
        return Finding("DVC", ".dvc/ is not here; run in the repository root", False)
    try:
        return Finding("DVC", version("dvc"))
    except PackageNotFoundError:
        return Finding("DVC", "not installed; make install", False)


def _mirror() -> Finding:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return Finding("mirror", f"{MIRROR_VARIABLE} is unset: real files come from data.mirror or their addresses")
    is_there = Path(mirror).is_dir()
    return Finding("mirror", mirror if is_there else f"{mirror}: no such folder", is_there)


def _first_line(command: list[str]) -> str | None:
    """First line that `command` prints, or None if it is not installed or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.splitlines()), None)
