"""What servers, model folders and rating files from outside may hold: taken as it is, or refused; never at random.

Beside random changes, each place of a body or of a file of a model is tried on its own: missing, null, of another type,
renamed, doubled, of another shape.
"""

import functools
import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mutation import VALUES, mutated_value

from benchmark.data.domains import DomainData, bookcrossing, ratings_table
from benchmark.data.domains.lines import MOST_LEFT_OUT
from benchmark.errors import DataError
from tallrec.api.bodies import MOST_PROBABILITY, ServedError, body_of, reply_of
from tallrec.api.rules import score_of_text, score_of_top
from tallrec.prompts.layouts import ANSWER_TEXTS

TOP = [{"token": token, "logprob": value, "bytes": None} for token, value in (("Yes", -0.6), ("No", -1.1), ("I", -3.0))]
MESSAGE = {"role": "assistant", "content": "Yes.", "refusal": None, "reasoning_content": "No, or"}
BODIES: dict[str, dict[str, Any]] = {
    "chat": {
        "model": "m",
        "system_fingerprint": "f",
        "error": None,
        "choices": [
            {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
            | {"logprobs": {"content": [{"token": "Yes", "logprob": -0.6, "top_logprobs": TOP}]}}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    },
    "completions": {
        "model": "m",
        "choices": [
            {"text": " Yes", "finish_reason": "length", "index": 0, "error": None}
            | {"logprobs": {"tokens": [" Yes"], "top_logprobs": [{" Yes": -0.6, " No": -1.1, "I": -3.0}]}}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    },
}


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every key and place below `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*above, key)
        yield from places(part, (*above, key))


def at_one_place(rng: random.Random, value: Any) -> Any:
    """`value` with one place missing, renamed, doubled, null or of another type."""
    value = json.loads(json.dumps(value))
    *above, last = rng.choice(list(places(value)))
    part = functools.reduce(lambda found, key: found[key], above, value)
    what = rng.choice(("missing", "renamed", "doubled", "other", "other", "null"))
    if what == "missing":
        del part[last]
    elif what == "renamed" and isinstance(part, dict):
        part[f"{last}x"] = part.pop(last)
    elif what == "doubled":
        part[last] = [part[last], part[last]]
        if isinstance(part, list):
            part[last : last + 1] = part[last]
    else:
        part[last] = None if what == "null" else rng.choice((*VALUES, {"code": 502, "message": "broke"}, "error"))
    return value


def answered(content: bytes) -> None:
    """As client and scoring do; what is impossible for probabilities, and an error, is no answer."""
    try:
        body = body_of(content)
        reply = reply_of(body)
    except ServedError as error:
        raise DataError(str(error)) from error
    except ValueError as error:
        raise DataError(str(error)) from error
    assert reply == reply_of(json.loads(json.dumps(body)))
    assert reply.is_withheld or not body.get("error")
    assert reply.is_withheld or body["choices"][0].get("finish_reason") != "error"
    assert "No, or" not in reply.text
    assert sum(math.exp(value) for _, value in reply.top or ()) <= MOST_PROBABILITY
    scored = [score_of_text("s", reply)]
    for missing in ("smallest_of_top", "remainder"):
        for rule in ("double_softmax", "logit_difference"):
            if reply.top is not None:
                scored.append(score_of_top("s", reply, ANSWER_TEXTS, missing_answer=missing, rule=rule))
    assert all(math.isfinite(one.score) for one in scored)
    assert all(0 <= one.details.get("answer_mass", 0.0) <= MOST_PROBABILITY for one in scored)


@pytest.mark.parametrize("endpoint", list(BODIES))
def test_a_body_with_any_field_otherwise_is_an_answer_or_refused(endpoint: str, survive: Callable[..., None]) -> None:
    def make(rng: random.Random) -> bytes:
        changed = at_one_place(rng, BODIES[endpoint])
        return json.dumps(changed if rng.random() < 0.6 else mutated_value(rng, changed)).encode()

    answered(json.dumps(BODIES[endpoint]).encode())
    survive(f"bodies, {endpoint}", 30_000, make, answered)


def test_a_model_folder_with_any_part_otherwise_is_its_model_or_refused(
    new_tiny_model: Callable[..., Any], tokenizer: Any, tmp_path: Path, survive: Callable[..., None]
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from tallrec.models.loading import load_model, save_base
    from tallrec.models.loading_settings import Loading
    from tallrec.scoring.logits import last_logits

    folder = tmp_path / "model"
    save_base(new_tiny_model(), tokenizer, folder)
    valid = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = load_file(folder / "model.safetensors")
    settings = [name for name in valid if name.endswith("config.json")]

    def make(rng: random.Random) -> dict[str, Any]:
        if rng.random() < 0.5:
            name = rng.choice(settings)
            return {name: json.dumps(at_one_place(rng, json.loads(valid[name]))).encode()}
        key = rng.choice(list(weights))
        changed = dict(weights)
        tensor = changed.pop(key)
        what = rng.choice(("missing", "renamed", "of a PeftModel", "shape", "transposed", "more", "type"))
        if what == "renamed":
            changed[f"{key}x"] = tensor
        elif what == "of a PeftModel":
            changed = {f"base_model.model.{name}": one for name, one in weights.items()}
        elif what == "shape":
            changed[key] = torch.ones(*tensor.shape[:-1], tensor.shape[-1] + 1)
        elif what == "transposed":
            changed[key] = tensor.flip(0).reshape(tensor.shape[::-1]).contiguous()
        elif what == "more":
            changed |= {key: tensor, key.replace("weight", "bias"): torch.ones(tensor.shape[0])}
        elif what == "type":
            changed[key] = tensor.half()
        return {"model.safetensors": changed}

    def load() -> Any:
        return load_model(str(folder), None, Loading("float32", "none", 1), "llm.model")

    def read(hostile: dict[str, Any]) -> None:
        for name, content in {**valid, **hostile}.items():
            if isinstance(content, dict):
                save_file(content, folder / name, {"format": "pt"})
            else:
                (folder / name).write_bytes(content)
        model, found = load()
        stored = load_file(folder / "model.safetensors")
        arrived = model.state_dict()
        for name, tensor in arrived.items():
            known = stored.get(name, stored.get("model.embed_tokens.weight"))  # a tied output layer
            assert known is not None, f"{name} is in no file"
            assert torch.equal(tensor, known.to(tensor)), f"{name} is not that of the file"
        ids = found("Yes or no?")["input_ids"]
        logits = last_logits(model, [ids], 4096)
        assert torch.equal(
            logits,
            last_logits(load()[0], [ids], 4096),
        ), "drawn anew"

    read({})
    survive("model folder", 3_000, make, read)


USERS, ITEMS = range(1, 9), range(1, 13)
TITLE = "Cr\xf3nica de ni\xf1os \u2019"
MOVIE: dict[str, Any] = {"source": "official", "noun": "movie", "liked_above": 3.0, "split": (0.6, 0.2, 0.2)}
MOVIE |= {"history_length": 2, "n_samples": 12, "selection": "described", "format": "ratings-table", "release": "mine"}
BOOK: dict[str, Any] = {"source": "official", "noun": "book", "liked_above": 5.0, "split": (0.6, 0.2, 0.2)}
BOOK |= {"history_length": 3, "format": "bookcrossing", "zero_ratings": "dislike", "min_ratings": 4, "seed": 0}
WRONG = {
    "broken_line": ("x", "1{0}2", "{0}{0}{0}"),
    "rating_off_scale": ("{1}{0}{2}{0}11{0}{3}", "{1}{0}{2}{0}-1{0}{3}", "{1}{0}{2}{0}100{0}{3}"),
    "unknown": ("{1}{0}999{0}4{0}{3}",),
}
"""Lines by what is wrong with them, from separator, user, item and time."""


def rating_lines(rng: random.Random, layout: str) -> tuple[list[bytes], dict[str, int]]:
    """Lines of a file of ratings of which a random share is wrong, and how many of each kind."""
    between = {"csv": ",", "dat": "::", "book": ";"}[layout]
    good = [between.join(map(str, (u, i, 1 + (u * i) % 5, 10**9 + u * 100 + i))) for u in USERS for i in ITEMS]
    kind = rng.choice(list(WRONG))
    n_wrong = rng.choice((0, 1, 1, 2, 4, 5, 6, 10, 24, 32, 33, 40, 90))
    rows = [(line, "used") for line in good]
    for _ in range(n_wrong):
        line = rng.choice(WRONG[kind]).format(between, rng.choice(USERS), rng.choice(ITEMS), 10**9)
        rows.insert(rng.randrange(len(rows) + 1), (line, kind))
    lines = [line for line, _ in rows]
    if layout == "book":
        lines = [";".join(f'"{part}"' for part in line.split(";")[:3]) for line in lines]
    return [line.encode() for line in lines], {"used": len(good), kind: n_wrong} if n_wrong else {"used": len(good)}


def title_lines(rng: random.Random, layout: str) -> list[bytes]:
    """Lines of a file of titles, each in an encoding of its own."""
    shown = {"csv": "{},{} {},Drama", "dat": "{}::{} {}::Drama", "book": '"{}";"{} {}";"Ana"'}[layout]
    return [shown.format(item, TITLE, item).encode(rng.choice(("utf-8", "utf-8", "cp1252"))) for item in ITEMS]


@pytest.mark.parametrize("layout", ["csv", "dat", "book"])
def test_a_file_of_which_a_share_is_wrong_is_counted_or_refused_by_that_share(
    layout: str, tmp_path: Path, survive: Callable[..., None]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    heads = {
        "csv": (b"userId,movieId,rating,timestamp", b"movieId,title,genres"),
        "book": (b'"User-ID";"ISBN";"Book-Rating"', b'"ISBN";"Book-Title";"Book-Author"'),
    }
    names = ("BX-Book-Ratings.csv", "BX-Books.csv") if layout == "book" else (f"ratings.{layout}", f"movies.{layout}")

    def make(rng: random.Random) -> Any:
        lines, counts = rating_lines(rng, layout)
        end, mark = rng.choice((b"\n", b"\r\n")), rng.choice((b"", b"\xef\xbb\xbf"))
        head = heads.get(layout)
        files = [(*([head[n]] if head else ()), *one) for n, one in enumerate((lines, title_lines(rng, layout)))]
        return [mark + b"".join(line + end for line in one) for one in files], counts

    def taken() -> DomainData:
        if layout == "book":
            data = bookcrossing.read(raw, bookcrossing.Params(**BOOK))
        else:
            data = ratings_table.read(raw, ratings_table.Params(**MOVIE, layout=layout))
        for name, count in data.lines.items():
            count.refuse_large_share(raw / name)
        return data

    def read(hostile: Any) -> None:
        contents, counts = hostile
        for name, content in zip(names, contents, strict=True):
            (raw / name).write_bytes(content)
        kind = next((one for one in counts if one != "used"), "used")
        n_wrong = counts[kind] if kind != "used" else 0
        reason = {"unknown": "unknown_isbn" if layout == "book" else "unknown_item"}.get(kind, kind)
        n_lines = counts["used"] + n_wrong
        if n_wrong > MOST_LEFT_OUT.get(reason, 1.0) * n_lines:
            with pytest.raises(DataError, match=rf"{n_wrong} {reason} \(first: line \d+") as caught:
                taken()
            raise caught.value
        data = taken()
        found = data.notes["ratings"]
        assert (found["read"], found["used"]) == (n_lines, counts["used"])
        assert found.get(reason, 0) == counts[kind]
        assert all(TITLE in item.text for item in data.items.values())

    survive(f"share left out, {layout}", 15_000, make, read)
