"""What models behind an address will be asked, and what that costs, before the first question."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.config.in_context import ApiModelParams
from benchmark.config.params import Params
from benchmark.methods.language_model_cells import icl_cells
from benchmark.planning.sizes import Sizes

OUTPUT_TOKENS = 1
"""Of an answer where `parameters` name no limit."""
LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Questions:
    """Of one model, in all prompt styles."""

    model: str
    n_questions: int
    n_input_tokens: int
    dollars: float | None
    """None where a price is not known."""


def questions(params: Params, found: Sizes) -> Iterator[Questions]:
    """For each model of `grid.other_models` that is behind an address; answers that are kept already count too."""
    for name in params.grid.other_models:
        section = params.icl.models[name]
        if not isinstance(section, ApiModelParams):
            continue
        n_questions, n_tokens = 0, 0.0
        for prompt in params.grid.prompts:
            for domain in params.grid.domains:
                for cell in icl_cells(params, name, prompt, domain):
                    n_rows = found.n_test[cell.test_domain]
                    n_questions += n_rows
                    n_tokens += n_rows * found.prompts.of(domain, prompt, cell.n_shots).mean
        of_answer = next((section.parameters[key] for key in LIMITS if key in section.parameters), OUTPUT_TOKENS)
        prices = section.dollars_per_million_input_tokens, section.dollars_per_million_output_tokens
        dollars = None
        if prices[0] is not None and prices[1] is not None:
            dollars = (n_tokens * prices[0] + n_questions * of_answer * prices[1]) / 1e6
        yield Questions(name, n_questions, round(n_tokens), dollars)
