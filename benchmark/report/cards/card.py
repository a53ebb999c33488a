"""The card of an adapter, from what the records and the results say: no sentence that is not one of theirs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, cast

from ruamel.yaml import YAML

from benchmark.config.params import Params
from benchmark.config.run_names import DATA, PAPERS_MODEL, RECIPES, model_name
from benchmark.report.page import environment
from benchmark.report.tables.form import points
from benchmark.schema import Cell, domain_of
from benchmark.statistics.results import MetricRow

TASK = "text-classification"
"""Of the Hub's tasks the nearest one: a text, and whether the answer is yes."""


@dataclass(frozen=True, slots=True)
class Tested:
    """A result on one test set."""

    row: MetricRow
    """With status `ok`."""
    rule: tuple[str, float] | None
    """The best rule without training on the same rows and its AUC in [0, 1]; None where none was run."""

    @property
    def auc(self) -> float:
        """In [0, 1]."""
        assert self.row.auc is not None, "the status is ok"
        return self.row.auc

    @property
    def interval(self) -> str:
        """AUC x100 over users; empty without one."""
        ends = (self.row.auc_low, self.row.auc_high)
        return "" if None in ends else f"[{points(ends[0], 1)}, {points(ends[1], 1)}]"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a card may say."""

    params: Params
    cell: Cell
    origin: Mapping[str, Any]
    """`origin.json` of the base model."""
    tuning: Mapping[str, Any]
    """Record of the tuning; empty where there is none."""
    scoring: Mapping[str, Any]
    tested: tuple[Tested, ...]
    """The first one on the domain that it was tuned on."""
    example: str
    """A prompt of invented titles."""

    @property
    def name(self) -> str:
        """What the adapter is called."""
        model = model_name(self.params.llm).replace(" ", "-")
        return f"{self.cell.method}-k{self.cell.n_shots}-seed{self.cell.seed}-{model}".lower()

    @property
    def base_of_hub(self) -> dict[str, str]:
        """What PEFT finds the base model by; empty where it is not on the Hub."""
        revision = self.origin["revision"]
        return {"base_model_name_or_path": self.origin["model"], "revision": revision} if revision else {}

    @property
    def base(self) -> str:
        """The base model in a sentence."""
        model, revision = self.origin["model"], self.origin["revision"]
        if model == "tiny":
            return "a tiny LLaMA that the pipeline pretrains itself (`models/base`)"
        if revision:
            return f"[{model}](https://huggingface.co/{model}) at commit `{revision}`"
        if self.origin["gguf_sha256"]:
            return f"{model_name(self.params.llm)}, unpacked from a GGUF file of SHA-256 `{self.origin['gguf_sha256']}`"
        weights = next((value for name, value in self.origin["files"].items() if name.endswith(".safetensors")), "")
        return f"{model_name(self.params.llm)} of a local folder" + (
            f", weights of SHA-256 `{weights}`" * bool(weights)
        )

    @property
    def base_arguments(self) -> str:
        """Of `from_pretrained`, in Python."""
        found = self.base_of_hub
        return f'"{found["base_model_name_or_path"]}", revision="{found["revision"]}"' if found else "BASE"

    @property
    def n_valid(self) -> int:
        """Validation rows that a checkpoint was chosen on."""
        limit = self.params.tune.max_valid_samples
        return min(self.tuning["n_valid"], limit) if limit is not None else self.tuning["n_valid"]

    def data(self, test_domain: str) -> str:
        """The data set that a domain is made of."""
        section = self.params.domains[domain_of(test_domain)]
        if section.source == "embedded":
            return f"the generated world of the pipeline, domain {test_domain}"
        return f"{DATA.get(section.format, section.format)}, domain {test_domain}"

    @property
    def train_data(self) -> str:
        """What it was tuned on."""
        both = self.cell.train_domain == "both"
        return " and ".join(map(self.data, self.params.grid.domains if both else (self.cell.train_domain,)))

    @property
    def cautions(self) -> Iterator[str]:
        """What the adapter is not."""
        first, params = self.tested[0], self.params
        if params.llm.model == "tiny" or model_name(params.llm) != PAPERS_MODEL:
            yield f"It is not the model of the paper, which is {PAPERS_MODEL}."
        generated = [d for d in params.grid.domains if params.domains[d].source == "embedded"]
        if generated:
            yield f"The data of {' and '.join(generated)} are generated: its numbers say nothing about real users."
        if first.rule:
            name, auc = first.rule
            how = "below" if first.auc < auc else "not below"
            yield (
                f"It lies {how} `{name}`, a rule that trains no model and has {points(auc, 1)} on the same rows "
                "(whether the difference is more than noise, the report of the run says)."
            )
        if self.tuning.get("is_at_chance"):
            yield "No validation of its tuning was better than chance."
        if params.evaluate.max_test_samples is not None:
            yield f"It was tested on the first {params.evaluate.max_test_samples} rows of a test set alone."
        n_seeds = len(params.grid.seeds)
        yield (
            f"It is one draw of {self.cell.n_shots} rows"
            + (f", of {n_seeds} that the benchmark means" if n_seeds > 1 else "")
            + "; another draw gives another AUC, which the interval, over users alone, does not show."
        )
        yield "It ranks what a prompt of this form asks about. It retrieves nothing, and its score is no probability."
        yield "The licences of base model and data hold for what is made of them. No row of the data is in it."


def card_text(facts: Facts) -> str:
    """README.md with the metadata of the Hub."""
    text = environment(is_markdown=True).get_template("adapter_card.md.j2")
    return text.render(facts=facts, metadata=_yaml(_metadata(facts)), recipe=RECIPES[facts.cell.method.split("-")[0]])


def _metadata(facts: Facts) -> dict[str, Any]:
    """The head of the card; results as `model-index`, which the Hub shows with no benchmark registered."""
    from huggingface_hub import EvalResult, ModelCardData

    level = f"{100 * facts.params.evaluate.confidence:g} %"
    results = [
        EvalResult(
            task_type=TASK,
            task_name="Will this user like this item?",
            dataset_type=facts.params.domains[domain_of(one.row.cell.test_domain)].format,
            dataset_name=facts.data(one.row.cell.test_domain),
            dataset_config=one.row.cell.test_domain,  # what else tells apart two test sets of one format
            dataset_split="test",
            metric_type=metric,
            metric_name=name,
            metric_value=value,
        )
        for one in facts.tested
        for metric, name, value in (
            ("roc_auc", f"AUC, {level} over users {one.interval}" if one.interval else "AUC", one.auc),
            ("uauc", "UAUC", one.row.others.get("uauc")),
        )
        if value is not None
    ]
    data = ModelCardData(
        model_name=facts.name,
        eval_results=results,
        base_model=facts.base_of_hub.get("base_model_name_or_path"),
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["lora", "recommendation", "tallrec", "tallrec-bench"],
    )
    return data.to_dict()


def results_yaml(facts: Facts, benchmark: str) -> str:
    """`.eval_results/*.yaml`: AUC on each test set, as tasks of a data set that is a benchmark on the Hub.

    Source:
        https://huggingface.co/docs/hub/eval-results
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    day = str(facts.scoring.get("started_at", ""))[:10]
    entries = [
        EvalResultEntry(
            dataset_id=benchmark,
            task_id=one.row.cell.test_domain,
            value=round(100 * one.auc, 2),
            date=day or None,
            notes=f"AUC x100, K = {facts.cell.n_shots}, seed {facts.cell.seed}; over users {one.interval}".rstrip(),
        )
        for one in facts.tested
    ]
    return _yaml(eval_result_entries_to_yaml(entries))


def _yaml(content: object) -> str:
    stream, yaml = StringIO(), cast(Any, YAML())  # its types are partly unknown
    yaml.width = 10_000
    yaml.dump(content, stream)
    return stream.getvalue()
