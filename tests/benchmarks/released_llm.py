"""The released procedures of tuning and scoring a language model, and a tiny LLaMA with real movie rows to run them on.

The procedures (finetune_rec.py and evaluate.py of SAI990323/TALLRec at c1db29ce) are written anew on today's
transformers. The LLaMA has random weights, 4 layers of 256 and 32,000 entries of vocabulary, learned by a byte-level
tokenizer from the titles and texts at hand, so that most words of a title are one token.
"""

import gc
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from released_baselines import read
from sklearn.metrics import roc_auc_score
from torch import Tensor
from transformers import (
    DataCollatorForSeq2Seq,
    GenerationConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from benchmark.data.domains import DomainData
from benchmark.data.fewshot import draw
from benchmark.schema import FewShotTask, Labelled
from tallrec.models.adapters import write_fresh_start
from tallrec.models.loading import load_base, save_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import write_origin
from tallrec.prompts.answer_tokens import AnswerTokens
from tallrec.prompts.chat import question_of
from tallrec.scoring.samples import Scoring
from tallrec.tiny.pretraining import new_model
from tallrec.tiny.shape import TinyModel
from tallrec.tiny.tokenizer import train_tokenizer
from tallrec.training.fitting import checkpointing_settings, fit
from tallrec.training.rows import encode_row
from tallrec.training.schedule import Schedule

SHAPE = TinyModel(
    vocabulary_size=32_000, hidden_size=256, intermediate_size=688, n_layers=4, n_heads=4, max_positions=2048
)
SCORING = Scoring(style="released", stray_comment=True, rule="double_softmax", max_length=512, batch_tokens=4096)
LOADING = Loading(dtype="float32", quantization="none", n_threads=1)


def mirror() -> Path:
    """The folder with the real files."""
    return Path(os.environ["TALLREC_BENCH_MIRROR"])


def movie_task(n_shots: int, n_valid: int) -> tuple[FewShotTask, DomainData]:
    """The real movie rows: the released draw, the first validation rows, all test samples."""
    data = read("movie", mirror())
    by_id = {row.sample.sample_id: row for row in data.splits["train"]}
    chosen = draw(list(by_id), n_shots, 0, "movie", "released").llm
    test = tuple(row.sample for row in data.splits["test"])
    return FewShotTask(tuple(by_id[i] for i in chosen), data.splits["valid"][:n_valid], test, data.items, 0), data


def tokenizer_of_titles() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of 32,000 entries, to which most words of a title are one token."""
    task, data = movie_task(64, 1000)
    titles = [item.mention for item in data.items.values()]
    books = [row["input"] for name in ("train.sample", "test") for row in _json(f"tallrec-book/{name}.json")]
    plain = train_tokenizer([], 300)
    prompts = [question_of(plain, "released", row.sample, data.items, stray_comment=True) for row in task.train]
    other = (mirror() / "alpaca" / "seed_tasks.jsonl").read_text()
    tokenizer = train_tokenizer([prompt.text for prompt in prompts] + 3 * titles + books + [other], 32_000)
    assert len(tokenizer) == 32_000
    return tokenizer


def write_models(folder: Path) -> None:
    """Write the random LLaMA to `folder`/untuned, and to `folder`/tuned one that has learned to answer and to stop."""
    task, _ = movie_task(64, 1000)
    torch.set_num_threads(1)
    tokenizer = tokenizer_of_titles()
    model = new_model(tokenizer, SHAPE, seed=0)
    write_fresh_start(folder / "start")
    for name in ("untuned", "tuned"):
        if name == "tuned":
            encoded = encoded_rows(tokenizer, task.train, task, "answer")
            fit(model, encoded, Schedule(30, 16, 16, 0.003, 0, 0), folder / "scratch")
        save_base(model, tokenizer, folder / name)
        write_origin(folder / name, "tiny", None, {})


def _json(name: str) -> list[dict[str, str]]:
    return json.loads((mirror() / name).read_text())


def load(folder: Path, name: str) -> tuple[Any, PreTrainedTokenizerBase]:
    """The model of that name and its tokenizer."""
    return load_base(folder / name, LOADING)


def released_scores(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], tokens: AnswerTokens
) -> tuple[list[float], float]:
    """Scores of batches of 32 in file order, decoded to the end; and how many tokens were decoded a prompt."""
    tokenizer.padding_side = "left"
    config = GenerationConfig(num_beams=1, do_sample=False, max_new_tokens=128, pad_token_id=tokenizer.pad_token_id)
    config.eos_token_id = tokenizer.eos_token_id
    scores: list[float] = []
    n_decoded = 0
    for start in range(0, len(prompts), 32):
        inputs = tokenizer(list(prompts[start : start + 32]), return_tensors="pt", padding=True).to(model.device)
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            output: Any = model.generate(
                **inputs, generation_config=config, return_dict_in_generate=True, output_scores=True
            )
        probabilities = output.scores[0].softmax(dim=-1)[:, [tokens.yes, tokens.no]]
        scores += probabilities.float().softmax(dim=-1)[:, 0].tolist()
        tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        n_decoded += len(inputs["input_ids"]) * (output.sequences.shape[1] - inputs["input_ids"].shape[1])
    return scores, n_decoded / len(prompts)


def encoded_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Labelled], task: FewShotTask, loss: str
) -> list[dict[str, list[int]]]:
    """Training rows as our own tuning encodes them."""
    asked = [question_of(tokenizer, "released", row.sample, task.items, stray_comment=True) for row in rows]
    return [
        encode_row(tokenizer, one.text, one.answers[row.liked], loss=loss, max_length=512)
        for one, row in zip(asked, rows, strict=True)
    ]


def released_tuning(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    task: FewShotTask,
    schedule: Schedule,
    tokens: AnswerTokens,
    loss: str,
    scratch: Path,
) -> list[dict[str, float]]:
    """The Trainer's log of a tuning as released: checkpointed, padded at the left, validated on all logits."""
    tokenizer.padding_side = "left"
    # What prepare_model_for_int8_training turns on.
    model.activation_checkpointing_enable(checkpointing_settings(model))
    model.enable_input_require_grads()
    answers = torch.tensor([tokens.no, tokens.yes], device=model.device)

    def preprocess(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        # The released rule to find the answer breaks on some titles; this is the place that it means.
        positions = torch.arange(labels.shape[1], device=labels.device)
        places = torch.isin(labels, answers).long().mul(positions).argmax(dim=1)
        rows = torch.arange(len(labels), device=labels.device)
        gold = (labels[rows, places] == tokens.yes).long()
        return logits.softmax(dim=-1)[rows, places - 1][:, answers], gold

    def compute_metrics(found: Any) -> dict[str, float]:
        (probabilities, gold), _ = found
        scores = torch.tensor(probabilities).softmax(dim=-1)[:, 1]
        return {"auc": float(roc_auc_score(gold, scores))}

    n_micro_batches = schedule.batch_size // schedule.micro_batch_size
    arguments = TrainingArguments(
        output_dir=str(scratch),
        per_device_train_batch_size=schedule.micro_batch_size,
        gradient_accumulation_steps=n_micro_batches,
        max_steps=schedule.n_updates,
        warmup_steps=schedule.warmup_updates,
        learning_rate=schedule.learning_rate,
        logging_steps=schedule.eval_every or 10,
        optim="adamw_torch",
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=schedule.eval_every,
        save_steps=schedule.eval_every or 10,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_auc",
        train_sampling_strategy="group_by_length",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        seed=schedule.seed,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=encoded_rows(tokenizer, task.train, task, loss),  # pyright: ignore[reportArgumentType]
        eval_dataset=encoded_rows(tokenizer, task.valid, task, loss),  # pyright: ignore[reportArgumentType]
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8, return_tensors="pt", padding=True),
        compute_metrics=compute_metrics,
        preprocess_logits_for_metrics=preprocess,
    )
    trainer.train()
    return trainer.state.log_history


def measured(work: Callable[[], dict[str, Any]], afterwards: Callable[[], dict[str, Any]] = dict) -> None:
    """Do `work` and print what it returns as JSON, with the seconds it took and the peak of resident memory meanwhile.

    What `afterwards` returns is printed too, and not measured.
    """
    torch.set_num_threads(1)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of reading the data and loading the model
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    result |= {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_bytes": 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]),
    }
    print(json.dumps(result | afterwards()))


def in_a_process_of_its_own(script: str, *arguments: object) -> dict[str, Any]:
    """What `measured` prints in a fresh interpreter."""
    command = [sys.executable, "-W", "ignore", script, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, result: dict[str, Any], reference: dict[str, Any] | None = None) -> str:
    """A line of the table: seconds, processor seconds, memory, and how many times the reference takes."""
    ratio = "" if reference is None else f"{reference['processor_seconds'] / result['processor_seconds']:8.1f} times"
    return (
        f"{name:<34} {result['seconds']:8.1f} s {result['processor_seconds']:8.1f} s of processor "
        f"{result['peak_bytes'] / 2**30:6.2f} GiB {ratio}"
    )


def n_ranked_otherwise(scores: Sequence[float], reference: Sequence[float], resolution: float = 2.5e-7) -> int:
    """Pairs of samples that the reference tells apart, by more than float32 resolves near 0.5, and `scores` swap."""
    ours, theirs = (np.subtract.outer(values, values) for values in (np.array(scores), np.array(reference)))
    return int(((theirs > resolution) & (ours <= 0)).sum())
