"""Foretold and measured peak memory of rec-tuning, on a CPU, for three tiny architectures.

Usage: python tests/benchmarks/memory_prediction.py      (exit code 1 if one is off by more than 10 percent)

Each is tuned for two updates by the real loop in a process of its own. Measured is its resident memory above that of
the process before the model. The allocator is told to give every freed block back: by default glibc keeps them, which
is its choice and no need of the model (the column `glibc` shows what it then holds).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig

from benchmark.stages.efficiency import GIVE_BACK_FREED_MEMORY
from tallrec.cost.measuring import resident_bytes
from tallrec.cost.simulation import simulate_tuning
from tallrec.models.adapters import Lora
from tallrec.models.loading_settings import Loading

BOUND = 0.10
MIB = 2**20
LORA = Lora(8, 16, 0.05, ("q_proj", "v_proj"))


@dataclass(frozen=True)
class Shape:
    """An architecture and a micro-batch of it."""

    name: str
    hidden_size: int
    n_layers: int
    vocabulary_size: int
    n_rows: int
    n_tokens: int
    loss: str
    quantization: str = "none"
    gradient_checkpointing: bool = False

    def config(self) -> LlamaConfig:
        """As transformers has it."""
        return LlamaConfig(
            vocab_size=self.vocabulary_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.hidden_size * 11 // 4,
            num_hidden_layers=self.n_layers,
            num_attention_heads=self.hidden_size // 64,
        )


SHAPES = [
    Shape("wide vocabulary, loss on all tokens", 512, 4, 32000, 8, 200, "all_tokens"),
    Shape("long rows, loss on the answer", 256, 6, 4000, 32, 300, "answer"),
    Shape("checkpointing", 512, 8, 8000, 32, 300, "answer", gradient_checkpointing=True),
]


def tune(shape: Shape) -> None:
    """Tune for two updates by the real loop."""
    import torch

    from tallrec.models.adapters import trainable_adapter, write_fresh_start
    from tallrec.models.architecture import random_model
    from tallrec.training.fitting import fit
    from tallrec.training.schedule import Schedule

    torch.set_num_threads(1)
    loading = Loading("float32", shape.quantization, 1)
    with tempfile.TemporaryDirectory() as folder:
        write_fresh_start(Path(folder) / "start")
        model = random_model(shape.config(), loading, seed=0, device="cpu")
        adapted = trainable_adapter(model, Path(folder) / "start", LORA, seed=0)
        ids = torch.randint(0, shape.vocabulary_size, (shape.n_rows, shape.n_tokens)).tolist()
        n_without = 0 if shape.loss == "all_tokens" else shape.n_tokens - 3
        rows = [{"input_ids": row, "labels": [-100] * n_without + row[n_without:]} for row in ids]
        schedule = Schedule(
            2, shape.n_rows, shape.n_rows, 1e-3, 0, 0, gradient_checkpointing=shape.gradient_checkpointing
        )
        fit(adapted, rows, schedule, Path(folder) / "scratch")


def tune_and_tell(shape: Shape) -> None:
    """Print the bytes before the model, once a smaller one has loaded all that the loop needs, and the peak."""
    tune(replace(shape, hidden_size=64, n_layers=1, vocabulary_size=100, n_rows=2, n_tokens=8))
    before = resident_bytes()
    tune(shape)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"before": before, "peak": peak}))


def measured(shape: Shape, **environment: str) -> int:
    """Bytes that the tuning adds to a process."""
    command = [sys.executable, __file__, json.dumps(asdict(shape))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    found = json.loads(done.stdout.splitlines()[-1])
    return found["peak"] - found["before"]


def main() -> int:
    """Compare and print."""
    if len(sys.argv) > 1:
        tune_and_tell(Shape(**json.loads(sys.argv[1])))
        return 0
    table = Table("architecture", "foretold MiB", "measured MiB", "off by", "glibc MiB")
    worst = 0.0
    for shape in SHAPES:
        step = simulate_tuning(
            shape.config(),
            Loading("float32", shape.quantization, 1),
            LORA,
            n_rows=shape.n_rows,
            n_tokens=shape.n_tokens,
            loss=shape.loss,
            gradient_checkpointing=shape.gradient_checkpointing,
        )
        found = measured(shape, **GIVE_BACK_FREED_MEMORY)
        off = step.peak_bytes / found - 1
        worst = max(worst, abs(off))
        sizes = (step.peak_bytes, found, measured(shape))
        foretold, real, kept = (f"{size / MIB:.0f}" for size in sizes)
        table.add_row(shape.name, foretold, real, f"{off:+.1%}", kept)
    Console().print(table)
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
