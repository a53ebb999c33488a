"""Stage `efficiency`: tuning and scoring steps of one configuration, under a memory limit -> runs/efficiency/.

They run in a process of their own, so that one peak does not hide another. Where they do not fit under the limit, that
is the result.

Usage: python -m benchmark.stages.efficiency --configuration 4bit
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import write_json
from benchmark.artifacts.paths import BASE_MODEL, STARTS, efficiency_file
from benchmark.config.names import refuse_unknown
from benchmark.config.params import EfficiencyConfiguration, Params
from benchmark.data.tasks import training_task
from benchmark.errors import BenchmarkError, exit_code_of, last_words
from benchmark.methods import language_models, tuning
from benchmark.methods.configuration import load_config
from benchmark.planning.devices import utilisation
from benchmark.schema import DOES_NOT_FIT, FewShotTask

GIVE_BACK_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""To glibc, which keeps up to three times what a model needs, so that a CPU's peak would be the allocator's."""


def settings_of(params: Params, task: FewShotTask, configuration: EfficiencyConfiguration) -> dict[str, Any]:
    """What `tallrec.cost.measuring` is to run for one configuration."""
    from tallrec.prompts.layouts import ANSWER_TEXTS
    from tallrec.prompts.rendering import render

    scoring = language_models.scoring(params)
    rows = task.valid[: params.tune.batch_size]
    schedule = replace(
        tuning.tuning_schedule(params, seed=0, n_rows=len(rows)),
        n_updates=params.efficiency.n_updates,
        micro_batch_size=configuration.micro_batch_size,
        gradient_checkpointing=configuration.gradient_checkpointing,
        eval_every=None,
        keep_best=False,
    )
    return {
        "base": str(BASE_MODEL),
        "start": str(STARTS / "rt"),
        "loading": asdict(
            replace(
                language_models.loading(params),
                quantization=configuration.quantization,
                attention=configuration.attention,
            )
        ),
        "lora": asdict(tuning.lora(params)),
        "schedule": asdict(schedule),
        "scoring": asdict(scoring),
        "loss": params.fidelity.loss,
        "n_tokens": configuration.n_tokens,
        "prompts": [render(scoring.style, row.sample, task.items, stray_comment=scoring.stray_comment) for row in rows],
        "answers": [ANSWER_TEXTS[row.liked] for row in rows],
        "memory_limit_bytes": int(params.efficiency.memory_limit_gb * 2**30),
    }


def run(name: str) -> None:
    """Measure one of `efficiency.configurations`, on validation rows: how long a row is does not hang on its split.

    Raises:
        ConfigError: there is none of that name.
        BenchmarkError: the process that measures ended with an error.
    """
    params = load_config()
    configurations = {one.name: one for one in params.efficiency.configurations}
    refuse_unknown("efficiency.configurations", name, configurations)
    configuration = configurations[name]
    task = training_task(params.grid.domains[0], n_shots=0, seed=0)
    measured = _measured(settings_of(params, task, configuration), name)
    weights = params.llm.model if params.llm.weights == "pretrained" else f"random, as {params.llm.model}"
    row = {**configuration.model_dump(), "weights": weights, **measured, "utilisation": utilisation(measured)}
    print(f"efficiency {name}: {measured}", file=sys.stderr)
    write_json(efficiency_file(name), row)


def _measured(settings: dict[str, Any], name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.json"
        file.write_text(json.dumps({**settings, "scratch": str(Path(folder) / "checkpoints")}))
        command = [sys.executable, "-m", "tallrec.cost.measuring", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **GIVE_BACK_FREED_MEMORY}
        )
    if done.returncode == -signal.SIGKILL or "bad_alloc" in done.stderr:  # how the limit speaks below Python
        from tallrec.cost.measuring import device_name

        return {"status": DOES_NOT_FIT, "device": device_name()}
    if done.returncode:
        raise BenchmarkError(f"efficiency.configurations.{name}: {last_words(done.stderr)}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    args = stage_arguments(__doc__, argv, "configuration")
    return exit_code_of(lambda: run(args.configuration))


if __name__ == "__main__":
    sys.exit(main())
