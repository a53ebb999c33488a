"""`tallrec-bench look`: rules and recommenders on the real data in a folder of their own, and what comes out.

No language model, no DVC: the stages run one after the other in `scratch/look/`, and `params.yaml` stays as it is.
Without the real files, neither from a mirror nor from their address, the data are those of the embedded world.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.artifacts.files import write_bytes
from benchmark.artifacts.paths import MIRROR_VARIABLE, PARAMS_YAML
from benchmark.config.params import Params
from benchmark.errors import BenchmarkError
from benchmark.methods.configuration import load_config, merge_presets

FOLDER = Path("scratch/look")
N_AT_ONCE = 2
"""Baselines that train at the same time, each on one thread."""


def look(folder: Path, presets: Sequence[str], tell: Callable[[str], object]) -> None:
    """Run the stages without a language model in `folder`, and leave its results there.

    Args:
        folder: is made, or used again: what is in it is replaced.
        presets: merged into a copy of `params.yaml`, e.g. `look`.
        tell: told each stage, with the seconds so far.

    Raises:
        BenchmarkError: a stage failed; its own line stands on stderr before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / PARAMS_YAML, PARAMS_YAML.read_bytes())
    merge_presets(list(presets), folder / PARAMS_YAML, write=True)
    params = load_config(folder / PARAMS_YAML)
    run = _Runs(folder, tell)
    domains = params.grid.domains
    if not run.all([("raw", "--domain", domain) for domain in domains], is_needed=False):
        tell("no real data: neither a mirror nor their address; the embedded world takes their place")
        merge_presets(["data/embedded"], folder / PARAMS_YAML, write=True)
        run.all([("raw", "--domain", domain) for domain in domains])
    run.all([("prepare", "--domain", domain) for domain in domains])
    run.all([("draw",)])
    run.all([("controls", "--domain", domain) for domain in domains])
    run.all(_baselines(params))
    run.all([("evaluate",)])
    run.all([("report",)])


def _baselines(params: Params) -> list[tuple[str, ...]]:
    return [
        ("baselines", "--baseline", baseline, "--domain", domain)
        for domain in params.grid.domains
        for baseline in params.grid.baselines
    ]


class _Runs:
    """Processes of stages in one folder."""

    def __init__(self, folder: Path, tell: Callable[[str], object]) -> None:
        self.folder, self.tell, self.start = folder, tell, time.perf_counter()
        mirror = os.environ.get(MIRROR_VARIABLE)
        self.environment = {**os.environ, **({MIRROR_VARIABLE: str(Path(mirror).absolute())} if mirror else {})}

    def all(self, stages: Sequence[tuple[str, ...]], *, is_needed: bool = True) -> bool:
        """Run stages, several at once, and wait for them; whether all of them ended well."""
        left, is_fine = list(stages), True
        while left:
            batch, left = left[:N_AT_ONCE], left[N_AT_ONCE:]
            self.tell(f"{time.perf_counter() - self.start:4.0f} s  {', '.join(_name(stage) for stage in batch)}")
            processes = [self._started(stage) for stage in batch]
            for stage, process in zip(batch, processes, strict=True):
                _, said = process.communicate()
                if process.returncode:
                    is_fine = False
                    if is_needed:
                        raise BenchmarkError(
                            f"{_name(stage)}: {said.decode(errors='replace').strip().splitlines()[-1]}"
                        )
        return is_fine

    def _started(self, stage: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"benchmark.stages.{stage[0]}", *stage[1:]]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )


def _name(stage: tuple[str, ...]) -> str:
    return " ".join((stage[0], *stage[2::2]))
