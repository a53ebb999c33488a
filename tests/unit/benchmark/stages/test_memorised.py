"""Stage `memorised`, with a tiny model of its own: what it writes, and that it names no title, user or item."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.data.domains.movielens import read_lines
from benchmark.data.memorisation import ratings, records
from benchmark.data.sources import describe_embedded
from benchmark.methods.configuration import load_config
from benchmark.stages import memorised

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

REPOSITORY = Path(__file__).parents[4]
N_PROMPTS = 6
PARAMS = load_config(REPOSITORY / "params.yaml")
PARAMS = PARAMS.model_copy(
    update={"memory": PARAMS.memory.model_copy(update={"domains": ("movie",), "n_prompts": N_PROMPTS})}
)


@pytest.fixture
def prepared(
    repository: Path,
    tiny_model: "LlamaForCausalLM",
    tokenizer: "PreTrainedTokenizerFast",
    monkeypatch: pytest.MonkeyPatch,
) -> Params:
    """Raw files of twelve films and eight users, and a random tiny LLaMA as the base model."""
    from tallrec.models.loading import save_base
    from tallrec.models.origin import file_digests, write_origin

    raw = paths.raw_folder("movie")
    raw.mkdir(parents=True)
    titles = "".join(f"{item}|Good-{item} (19{70 + item})|x\n" for item in range(1, 21))
    (raw / "u.item").write_text(titles, encoding="latin-1")
    lines = [(user, item, 1 + user * item % 5) for user in range(31, 39) for item in range(1, 16)]
    (raw / "u.data").write_text("".join(f"{user}\t{item}\t{stars}\t{100 + item}\n" for user, item, stars in lines))
    describe_embedded(raw)
    paths.BASE_MODEL.mkdir(parents=True)
    save_base(tiny_model, tokenizer, paths.BASE_MODEL)
    write_origin(paths.BASE_MODEL, "tiny", None, file_digests(paths.BASE_MODEL))
    monkeypatch.setattr(memorised, "load_config", lambda: PARAMS)
    return PARAMS


def test_what_is_written_are_counts_and_means(prepared: Params, tokenizer: "PreTrainedTokenizerFast") -> None:
    from benchmark.methods.language_models import load_base
    from tallrec.memorisation.continuations import choice_probabilities, continued, encode_texts

    assert memorised.main(["--domain", "movie"]) == 0
    text = paths.memorised_file("movie").read_text()
    found = json.loads(text)
    assert not any(word in text for word in ("Good", "(19", "\\t"))
    assert set(found["files"]) == {"u.data", "u.item"}
    assert all(len(digest) == 64 for digest in found["files"].values())
    assert (found["model"]["model"], found["confidence"]) == ("tiny", 0.95)
    checks = found["checks"]
    assert {name: check["n"] for name, check in checks.items()} == dict.fromkeys(
        ("title of an item", "year of a title", "rating of a user"), N_PROMPTS
    )
    numbers = [value for check in checks.values() for value in check.values() if isinstance(value, int | float)]
    assert all(math.isfinite(value) for value in numbers)
    # The numbers are those of the answers, and the control those of the same answers behind other prompts.
    model, _ = load_base(prepared, to_score=True)
    titles, rows = read_lines(paths.raw_folder("movie"))
    asked = records(titles, N_PROMPTS, Path("raw"))
    for key, prompts in (
        ("value", [one.prompt for one in asked]),
        ("control", [one.other_prompt for one in asked]),
    ):
        texts = list(zip(prompts, [one.answer for one in asked], strict=True))
        means = [one.log_probability for one in continued(model, encode_texts(tokenizer, texts), 512)]
        assert checks["title of an item"][key] == pytest.approx(sum(means) / N_PROMPTS, abs=1e-5)
    questions = ratings(rows, N_PROMPTS, Path("raw"))
    chosen = choice_probabilities(model, tokenizer, [one.prompt for one in questions], "12345", 512).argmax(dim=1) + 1
    hits = [int(star) == one.stars for star, one in zip(chosen, questions, strict=True)]
    assert checks["rating of a user"]["exact"] == sum(hits)


def test_two_runs_write_the_same(prepared: Params) -> None:
    assert memorised.main(["--domain", "movie"]) == 0
    first = paths.memorised_file("movie").read_bytes()
    assert memorised.main(["--domain", "movie"]) == 0
    assert paths.memorised_file("movie").read_bytes() == first
    assert prepared.memory.n_prompts == N_PROMPTS


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("book", "memory.domains: 'book' is not one of movie"),
        ("movie", "u.item: 3 items, expected 7 at least"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    prepared: Params, capsys: pytest.CaptureFixture[str], domain: str, said: str
) -> None:
    raw = paths.raw_folder("movie")
    (raw / "u.item").write_text("1|A (1990)|x\n2|B (1990)|x\n3|C (1990)|x\n")
    (raw / "u.data").write_text("1\t1\t4\t100\n")
    assert memorised.main(["--domain", domain]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not paths.memorised_file("movie").exists()
    assert files.read_json(paths.BASE_MODEL / "origin.json")["model"] == prepared.llm.model
