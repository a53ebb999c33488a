"""The shape of `params.yaml`: types, units and bounds. No defaults: a value lives in `params.yaml` alone."""

from typing import Annotated, Literal

from pydantic import Field

from benchmark.config.baselines import BaselineParams
from benchmark.config.external import ExternalParams
from benchmark.config.in_context import IclParams
from benchmark.config.values import Count, Fraction, Name, PositiveFloat, PositiveInt, Section
from benchmark.schema import EXTENDED


class DataParams(Section):
    """Where raw files come from."""

    mirror: str | None
    """Folder laid out as `docs/data.md` says; the environment variable TALLREC_BENCH_MIRROR wins over it."""


class DomainParams(Section):
    """What every domain has; each format of `benchmark/data/domains` adds its own keys."""

    format: str
    source: Literal["embedded", "official", "local"]
    """`embedded`: written by the generated world; `official`: downloaded, or taken from the mirror; `local`: ratings of
    your own, in the mirror alone."""
    noun: str
    """What an item is called in a prompt."""
    history_length: PositiveInt
    """Most interactions of a history."""
    liked_above: float
    """A rating above this is a like."""

    @property
    def has_extended(self) -> bool:
        """Whether it has a further test set, of users who are in no split."""
        return False


class Population(Section):
    """Users of one raw format: MovieLens has few users with many ratings, BookCrossing many with few."""

    n_users: PositiveInt
    ratings_per_user: tuple[PositiveInt, PositiveInt]
    """Fewest and most; uniform between them."""


class WorldParams(Section):
    """The embedded world: what users and items are, and how much text there is about the items."""

    seed: int
    populations: dict[str, Population]
    """By raw format."""
    n_items: PositiveInt
    """Items per domain that users rate."""
    n_other_items: PositiveInt
    """Items per domain that no user rates, for the instruction set."""
    quality_sd: PositiveFloat
    """How much items differ; as all three, in units of the rating scale's step."""
    leniency_sd: PositiveFloat
    taste_sd: PositiveFloat
    noise_sd: PositiveFloat
    reviews_per_item: PositiveInt
    instructions: PositiveInt
    """Rows of the embedded instruction set."""


class GridParams(Section):
    """The cells: what is run. One complexity dial; everything else is derived."""

    domains: tuple[Name, ...] = Field(min_length=1)
    n_shots: tuple[PositiveInt, ...] = Field(min_length=1)
    seeds: tuple[Count, ...] = Field(min_length=1)
    """Draws and initial weights of every method that depends on them."""
    cheap_seeds: tuple[Count, ...] | None
    """Of baselines and controls, whose seeds cost seconds: `seeds` and those beyond, in this order; null: `seeds`."""
    weights_seed: Count | None
    """Seed of initial weights and of the order of rows, whatever the draw; null: that of the draw. With a number, what
    seeds differ by is the draw alone."""
    controls: tuple[Name, ...]
    baselines: tuple[Name, ...]
    recipes: tuple[Literal["tallrec", "rt"], ...]
    """`tallrec`: instruction tuning, then rec-tuning; `rt`: rec-tuning alone."""
    train_domains: tuple[Name, ...]
    """What the recipes are tuned on: domains, or `both` for the same number of shots from every domain."""
    icl_models: tuple[Name, ...]
    """Asked as they are: `base`, the model of section `llm`, and `alpaca`, the same after instruction tuning."""
    other_models: tuple[Name, ...]
    """Keys of `icl.models` that are asked as they are; they wait for no model of section `llm`."""
    prompts: tuple[Name, ...]
    """Prompt styles of in-context learning."""

    @property
    def every_seed(self) -> tuple[int, ...]:
        """All seeds that any method is run with, which baselines and controls are: begins with `seeds`."""
        return self.seeds if self.cheap_seeds is None else self.cheap_seeds


class FidelityParams(Section):
    """Switches between what was released and its corrected form."""

    draw: Literal["shared", "released"]
    prompt: Literal["released", "clean"]
    loss: Literal["all_tokens", "answer"]
    scoring: Literal["double_softmax", "logit_difference"]
    checkpoint: Literal["best_auc", "last"]
    both_validation: Literal["first_domain", "every_domain"]


class LlmParams(Section):
    """The language model, one word to swap."""

    model: str
    """`tiny` (pretrained by the pipeline), a Hub id, a local folder, a `.gguf` file, or `package:NAME/PATH.gguf` for
    one that an installed package carries."""
    revision: str | None
    """Commit of the Hub model, required for one."""
    weights: Literal["pretrained", "random"]
    """`random`: the architecture alone is read, for memory and speed; such a model ranks nothing."""
    dtype: Literal["float32", "bfloat16", "float16"]
    quantization: Literal["none", "8bit", "4bit"]
    max_length: PositiveInt
    """Most tokens of a training row, its answer included; longer rows are cut at the left. Prompts that are scored are
    bounded by the positions of the model instead."""
    n_threads: PositiveInt
    """CPU threads; part of what makes a CPU result repeatable."""


class BaseParams(Section):
    """The tiny LLaMA and its pretraining. Read only where `llm.model` is `tiny`."""

    vocabulary_size: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    n_layers: PositiveInt
    n_heads: PositiveInt
    max_positions: PositiveInt
    n_updates: PositiveInt
    batch_size: PositiveInt
    sequence_length: PositiveInt
    learning_rate: PositiveFloat
    adam_beta2: Fraction
    n_threads: PositiveInt
    """CPU threads of the pretraining; part of what makes its result repeatable."""
    seed: int


class LoraParams(Section):
    """The low-rank adapter."""

    rank: PositiveInt
    alpha: PositiveInt
    dropout: Fraction
    target_modules: tuple[str, ...]


class InstructParams(Section):
    """Instruction tuning ("alpaca tuning", AT)."""

    data: str
    """`embedded`, `alpaca-demo` (1,000 rows, of the mirror or their address), a .json or .jsonl file, or a Hub data set
    as `hub:OWNER/NAME@REVISION`."""
    adapter: str | None
    """Folder of a published adapter to load instead of tuning: safetensors, or `adapter_model.bin` of an old PEFT."""
    n_updates: PositiveInt
    batch_size: PositiveInt
    micro_batch_size: PositiveInt
    learning_rate: PositiveFloat
    adam_beta2: Fraction
    warmup_updates: Count
    loss: Literal["all_tokens", "answer"]
    gradient_checkpointing: bool
    seed: int


class TuneParams(Section):
    """Rec-tuning. Either `n_updates` or `n_epochs` is null; early stopping may end sooner than both."""

    n_updates: PositiveInt | None
    """The same number for any number of rows."""
    n_epochs: PositiveInt | None
    """Passes over the rows, of as many updates as the rows fill batches."""
    batch_size: PositiveInt
    """Rows an update; never more than the few-shot draw holds."""
    micro_batch_size: PositiveInt
    learning_rate: PositiveFloat
    warmup_updates: Count
    eval_every: PositiveInt
    """Updates between two validations."""
    patience: PositiveInt
    """Validations without a better AUC before tuning stops."""
    max_valid_samples: PositiveInt | None
    """Validation rows used for checkpoint choice; null: all of them, as released."""
    gradient_checkpointing: bool
    n_processes: PositiveInt
    """Processes that tune one adapter together, one a GPU; `batch_size` is that of all, `micro_batch_size` of each."""
    sharded: bool
    """Whether the processes share the weights of the base model (FSDP), instead of each holding all."""
    report_to: str
    """Whom Trainer reports losses and validations to as well: `none`, or a tracker by the name that it has for it."""


class ScoreParams(Section):
    """Scoring: one forward pass a prompt."""

    batch_tokens: PositiveInt
    """Most tokens (padding included) of a batch."""
    quantization: Literal["none", "8bit", "4bit"]
    """Of the base model while it is asked, with an adapter or without, so that all have one yardstick."""


class ProbeParams(Section):
    """Changed inputs, scored by the tuned adapters of the largest K."""

    variants: tuple[Name, ...]
    """Recipe and train domain, e.g. `tallrec-movie`."""
    inputs: tuple[Name, ...]
    """Names of `benchmark.methods.probes.PROBES`."""


class MemoryParams(Section):
    """Whether the model of section `llm`, as it is, knows the raw files by heart."""

    domains: tuple[Name, ...]
    """Whose lines it is asked to complete; of the format ml-100k."""
    n_prompts: Annotated[int, Field(ge=2)]
    """Most items, titles and users that it is asked about, of each."""


class EfficiencyConfiguration(Section):
    """One row of the memory and throughput table."""

    name: Name
    quantization: Literal["none", "8bit", "4bit"]
    micro_batch_size: PositiveInt
    gradient_checkpointing: bool
    n_tokens: PositiveInt | None
    """Tokens of every row; null: the rows are as long as their prompts."""
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    """Attention kernel."""


class EfficiencyParams(Section):
    """Memory and throughput, under a hard limit."""

    memory_limit_gb: PositiveFloat
    n_updates: PositiveInt
    configurations: tuple[EfficiencyConfiguration, ...]


class EvaluateParams(Section):
    """Metrics and their intervals."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    max_test_samples: PositiveInt | None
    """Most rows of a test set, for a first look; no verdict is given then. null: all."""


class Params(Section):
    """All of `params.yaml`."""

    data: DataParams
    domains: dict[Name, DomainParams]
    world: WorldParams
    grid: GridParams
    fidelity: FidelityParams
    baselines: BaselineParams
    llm: LlmParams
    base: BaseParams
    lora: LoraParams
    instruct: InstructParams
    tune: TuneParams
    score: ScoreParams
    icl: IclParams
    external: tuple[ExternalParams, ...]
    """Scores from elsewhere, each a cell of the grid."""
    probe: ProbeParams
    memory: MemoryParams
    efficiency: EfficiencyParams
    evaluate: EvaluateParams

    def test_sets(self, domain: str) -> tuple[str, ...]:
        """What `Cell.test_domain` may be for `domain`: its test set, and the one of further users if it has one."""
        return (domain, domain + EXTENDED) if self.domains[domain].has_extended else (domain,)
