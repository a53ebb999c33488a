"""Stage `memorised`: does the model of section `llm`, as it is, know a data set by heart? -> runs/memorised/.

It is shown lines of the raw files and completes the next one: the title of an item id, the year of a title, the rating
of a user. What is written are counts and means, and no title, user or item.

Usage: python -m benchmark.stages.memorised --domain movie
"""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import require, write_json
from benchmark.artifacts.paths import BASE_MODEL, memorised_file, raw_folder
from benchmark.config.names import refuse_unknown
from benchmark.config.params import Params
from benchmark.data import memorisation
from benchmark.data.domains.movielens import read_lines
from benchmark.data.sources import read_manifest
from benchmark.diagnostics.memorised import completions_judged, ratings_judged
from benchmark.errors import exit_code_of
from benchmark.methods import language_models
from benchmark.methods.configuration import load_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_LOG = logging.getLogger(__name__)


def run(domain: str) -> None:
    """Ask the model about the lines of a domain and write what it knew.

    Raises:
        ConfigError: `memory.domains` has no such domain.
        DataError: a raw file is malformed or too short, or the tokenizer does not tell the ratings apart.
    """
    from tallrec.models.origin import read_origin

    params = load_config()
    refuse_unknown("memory.domains", domain, params.memory.domains)
    raw, n = require(raw_folder(domain)), params.memory.n_prompts
    titles, ratings = read_lines(raw)
    completions = {
        "title of an item": memorisation.records(titles, n, raw),
        "year of a title": memorisation.years(titles, n, raw),
    }
    questions = memorisation.ratings(ratings, n, raw)
    origin = read_origin(BASE_MODEL)
    model, tokenizer = language_models.load_base(params, to_score=True)
    checks: dict[str, dict[str, Any]] = {}
    for name, asked in completions.items():
        checks[name] = _completed(model, tokenizer, asked, params)
        _LOG.info("%s: %d of %d exact", name, checks[name]["exact"], checks[name]["n"])
    checks["rating of a user"] = _rated(model, tokenizer, questions, params.domains[domain].liked_above, params)
    _LOG.info("rating of a user: AUC %s", checks["rating of a user"]["value"])
    content = {
        "domain": domain,
        "source": params.domains[domain].source,
        "files": {name: entry["sha256"] for name, entry in read_manifest(raw).items()},
        "model": {key: origin[key] for key in ("model", "revision", "weights", "gguf_sha256", "files")},
        "quantization": params.score.quantization,
        "dtype": params.llm.dtype,
        "confidence": params.evaluate.confidence,
        "checks": checks,
    }
    write_json(memorised_file(domain), content)


def _completed(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    asked: Sequence[memorisation.Completion],
    params: Params,
) -> dict[str, Any]:
    from tallrec.memorisation.continuations import continued, encode_texts

    texts = [(one.prompt, one.answer) for one in asked] + [(one.other_prompt, one.answer) for one in asked]
    found = continued(model, encode_texts(tokenizer, texts), params.score.batch_tokens)
    exact = np.array([one.is_exact for one in found]).reshape(2, -1)
    log_p = np.array([one.log_probability for one in found]).reshape(2, -1)
    return completions_judged(exact[0], exact[1], log_p[0], log_p[1], params.evaluate.confidence)


def _rated(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    questions: Sequence[memorisation.RatingQuestion],
    liked_above: float,
    params: Params,
) -> dict[str, Any]:
    from tallrec.memorisation.continuations import choice_probabilities

    prompts = [one.prompt for one in questions] + [one.other_prompt for one in questions]
    found = choice_probabilities(model, tokenizer, prompts, "12345", params.score.batch_tokens).numpy()
    return ratings_judged(
        found[: len(questions)],
        found[len(questions) :],
        [one.stars for one in questions],
        [one.shown for one in questions],
        liked_above,
        params.evaluate.confidence,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = stage_arguments(__doc__, argv, "domain")
    return exit_code_of(lambda: run(args.domain))


if __name__ == "__main__":
    sys.exit(main())
