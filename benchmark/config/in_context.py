"""Section `icl` of `params.yaml`: in-context learning, and the models that it asks beside those of section `llm`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.config.values import Count, Name, PositiveFloat, PositiveInt, Section


class LocalModelParams(Section):
    """An instruct model that runs here, in the precision of section `llm`, through its own chat template."""

    kind: Literal["local"]
    model: str
    """A Hub id, or a local folder."""
    revision: str | None
    """Commit of the Hub model, required for one."""


class ServerParams(Section):
    """A server, and how it is asked."""

    address: str
    """Of the server up to its version, e.g. `https://api.openai.com/v1`."""
    model: str
    """What the server calls it."""
    key_variable: str | None
    """Name of the environment variable with the key, never the key itself; null: the server needs none."""
    max_concurrency: PositiveInt
    """Requests under way at any moment."""
    timeout_seconds: PositiveFloat
    """Of one attempt."""
    extended_test_set: bool
    """Whether it is asked about the further test set too, in the styles of `icl.extended_prompts`."""
    n_retries: Count
    """Attempts after the first, with exponential backoff."""


class ApiModelParams(ServerParams):
    """A model behind an address that speaks OpenAI's protocol."""

    kind: Literal["api"]
    endpoint: Literal["completions", "chat"]
    read: Literal["logprobs", "text"]
    """`text`: where a server gives no log-probabilities; 1 for yes, 0 for no, 0.5 for anything else."""
    n_top_logprobs: Annotated[int, Field(gt=0, le=1000)]
    """How many of the first token's log-probabilities are asked for."""
    missing_answer: Literal["smallest_of_top", "remainder"]
    """Probability of an answer that is not among them: the smallest of theirs, or 1 minus their sum."""
    parameters: dict[str, Any]
    """Sent as they are: temperature, number of tokens, ..."""
    dollars_per_million_input_tokens: Annotated[float, Field(ge=0)] | None
    """For the record of a cell; null: not known."""
    dollars_per_million_output_tokens: Annotated[float, Field(ge=0)] | None


class ExactModelParams(ServerParams):
    """A model behind an address that gives the exact probabilities of both answers, as one that runs here."""

    kind: Literal["exact"]
    endpoint: Literal["generative_scoring", "score"]
    """`generative_scoring`: vLLM's; `score`: SGLang's. The server's tokenizer is asked where the answers stand."""


class IclParams(Section):
    """In-context learning."""

    n_demonstrations: tuple[Count, ...] = Field(min_length=1)
    """0 is zero-shot; others show that many rows of the few-shot draw of the same size."""
    demonstrated_prompts: tuple[Name, ...]
    """Prompt styles that are also asked with demonstrations, where `n_demonstrations` has a number above 0."""
    extended_prompts: tuple[Name, ...]
    """Prompt styles in which the further test set of a domain is asked about."""
    unavailable: Literal["stop", "skip"]
    """What stage `others` does where a model of `models` cannot be had: end with an error, or leave its cells missing
    with the reason on the page, so that the others are evaluated."""
    models: dict[Name, Annotated[LocalModelParams | ApiModelParams | ExactModelParams, Field(discriminator="kind")]]
    """What `grid.other_models` may name."""
