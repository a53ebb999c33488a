"""`tallrec-bench look`: rules and recommenders on the real data in a folder of their own, and what comes out.

No language model, no DVC: the stages run one after the other in `scratch/look/`, and `params.yaml` stays as it is.
Without the real files, neither from a mirror nor from their address, the data are those of the embedded world.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmark.artifacts.files import write_bytes
from benchmark.artifacts.paths import MIRROR_VARIABLE, PARAMS_YAML
from benchmark.config.params import Params
from benchmark.data.sources import chosen_mirror
from benchmark.errors import BenchmarkError, last_words
from benchmark.methods.configuration import load_config, merge_presets
from benchmark.planning.foretold import foretold
from benchmark.progress import EVERY_SECONDS, OfAll

N_AT_ONCE = 2
"""Stages of one kind that run at the same time, each on one thread."""

LEFT_OUT = {"encode"}
"""Stages of the pipeline that nothing here reads."""


def look(folder: Path, presets: Sequence[str], tell: Callable[[str], object]) -> None:
    """Run the stages without a language model in `folder`, and leave its results there.

    Args:
        folder: is made, or used again: what is in it is replaced.
        presets: merged into a copy of `params.yaml`, e.g. `look`.
        tell: told each stage and how long the rest will take, every 30 seconds at least.

    Raises:
        ConfigError: `params.yaml` or a preset is wrong; nothing is written then.
        BenchmarkError: a stage failed, with its own line; the files of a mirror are never replaced by generated ones.
    """
    merge_presets(list(presets), PARAMS_YAML, write=False)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / PARAMS_YAML, PARAMS_YAML.read_bytes())
    merge_presets(list(presets), folder / PARAMS_YAML, write=True)
    params = load_config(folder / PARAMS_YAML)
    mirror, domains = chosen_mirror(params.data.mirror), params.grid.domains
    run = _Runs(folder, mirror, tell, foretold(params, tries=False).expected)
    if problem := run.all([("raw", "--domain", domain) for domain in domains], is_needed=mirror is not None):
        tell(f"{problem}\nno mirror and no real data: the embedded world takes their place")
        merge_presets(["data/embedded"], folder / PARAMS_YAML, write=True)
        run.told.n_stages += len(domains)  # begun once more
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

    def __init__(
        self,
        folder: Path,
        mirror: Path | None,
        tell: Callable[[str], object],
        expected: Mapping[str, tuple[int, float]],
    ) -> None:
        self.folder, self.tell = folder, tell
        expected = {stage: of_one for stage, of_one in expected.items() if stage not in LEFT_OUT}
        self.told = OfAll(sum(n for n, _ in expected.values()), expected)
        self.environment = {**os.environ, **({MIRROR_VARIABLE: str(mirror.absolute())} if mirror else {})}

    def all(self, stages: Sequence[tuple[str, ...]], *, is_needed: bool = True) -> str:
        """Run stages, several at once, and wait for them; what went wrong, which is an error if they are needed."""
        left, problem = list(stages), ""
        while left:
            batch, left = left[:N_AT_ONCE], left[N_AT_ONCE:]
            self.told.begin(*map(_name, batch))
            self.tell(self.told.line())
            processes = [self._started(stage) for stage in batch]
            for stage, process in zip(batch, processes, strict=True):
                said = self._waited(process)
                if process.returncode:
                    problem = f"{_name(stage)}: {last_words(said.decode(errors='replace'))}"
            if problem and is_needed:
                raise BenchmarkError(problem)
        return problem

    def _waited(self, process: subprocess.Popen[bytes]) -> bytes:
        """What a process says on stderr, once it is done; meanwhile how far all of it is."""
        while True:
            try:
                return process.communicate(timeout=EVERY_SECONDS)[1]
            except subprocess.TimeoutExpired:
                self.tell(self.told.line())

    def _started(self, stage: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"benchmark.stages.{stage[0]}", *stage[1:]]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )


def _name(stage: tuple[str, ...]) -> str:
    return " ".join((stage[0], *stage[2::2]))
