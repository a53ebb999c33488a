"""The stages of the language model, one after the other on a small world: base, instruct, tune, score, probe, icl."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.artifacts.paths import STARTS
from benchmark.artifacts.provenance import run_file
from benchmark.config.params import Params, Population
from benchmark.data.sources import OUTSIDE, checksum
from benchmark.errors import POINTER, BenchmarkError, DataError
from benchmark.methods.configuration import load_config
from benchmark.methods.language_model_cells import icl_cells, probe_cells, tuned_cells
from benchmark.planning.model import architecture
from benchmark.seeding import derive_seed
from benchmark.stages import base, draw, icl, instruct, prepare, probe, raw, score, tune
from tallrec.training.schedule import Schedule

REPOSITORY = Path(__file__).parents[4]
STAGES = (base, draw, icl, instruct, prepare, probe, raw, score, tune)
WEIGHTS = Path("adapter_model.safetensors")
POPULATIONS = {
    "ml-100k": Population(n_users=20, ratings_per_user=(16, 20)),
    "bookcrossing": Population(n_users=60, ratings_per_user=(4, 14)),
}
CHANGES: dict[str, dict[str, Any]] = {
    "world": {
        "populations": POPULATIONS,
        "n_items": 30,
        "n_other_items": 10,
        "reviews_per_item": 1,
        "instructions": 20,
    },
    "grid": {
        "domains": ("movie", "book"),
        "n_shots": (4,),
        "seeds": (0,),
        "recipes": ("tallrec", "rt"),
        "train_domains": ("movie",),
        "icl_models": ("base", "alpaca"),
        "prompts": ("released",),
    },
    "base": {"vocabulary_size": 500, "hidden_size": 32, "intermediate_size": 32, "n_layers": 1, "n_updates": 3}
    | {"n_threads": 1},
    "instruct": {"n_updates": 3},
    # Two epochs of four rows are four updates of at most three.
    "tune": {
        **{"n_updates": None, "n_epochs": 2, "batch_size": 3},
        **{"eval_every": 2, "max_valid_samples": 10, "warmup_updates": 0},
    },
    "icl": {"n_demonstrations": (0, 2)},
    "probe": {"variants": ("tallrec-movie",), "inputs": ("likes_swapped", "title_removed", "dislike_asked")},
}


def toy_params() -> Params:
    """The committed configuration, as small as it gets."""
    params = load_config(REPOSITORY / "params.yaml")
    movie = params.domains["movie"].model_copy(update={"n_samples": 100})
    sections = {name: getattr(params, name).model_copy(update=values) for name, values in CHANGES.items()}
    return params.model_copy(update={**sections, "domains": {**params.domains, "movie": movie}})


PARAMS = toy_params()


def use(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in STAGES:
        monkeypatch.setattr(stage, "load_config", lambda: params)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which every stage has run once, as working directory."""
    folder = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        use(PARAMS, monkeypatch)
        # Before there is any data: no user and no rating can have reached the weights.
        assert base.main([]) == 0
        assert instruct.main([]) == 0
        assert not Path("data").exists()
        for domain in PARAMS.grid.domains:
            assert raw.main(["--domain", domain]) == 0
            assert prepare.main(["--domain", domain]) == 0
        assert draw.main([]) == 0
        for recipe in PARAMS.grid.recipes:
            variant = ["--recipe", recipe, "--train-domain", "movie"]
            assert tune.main([*variant, "--n-shots", "4", "--seed", "0"]) == 0
            assert score.main(variant) == 0
        assert probe.main(["--variant", "tallrec-movie"]) == 0
        for model in PARAMS.grid.icl_models:
            assert icl.main(["--model", model, "--prompt", "released"]) == 0
        yield folder


def test_the_base_model_lies_with_its_digests_and_its_corpus(finished: Path) -> None:
    from tallrec.models.origin import file_digests

    origin = files.read_json(paths.BASE_MODEL / "origin.json")
    digests = file_digests(paths.BASE_MODEL)
    del digests["origin.json"]
    assert (origin["model"], origin["revision"], origin["weights"]) == ("tiny", None, "pretrained")
    assert (origin["holds_weights"], origin["gguf_sha256"]) == (True, None)
    assert (origin["files"], origin["sizes"]) == (digests, {})
    assert {"model.safetensors", "tokenizer.json", "corpus.txt"} <= digests.keys()
    assert not Path("scratch/base").exists()


def test_the_base_model_comes_out_the_same_again(finished: Path) -> None:
    before = (paths.BASE_MODEL / "origin.json").read_text()
    assert base.main([]) == 0
    assert (paths.BASE_MODEL / "origin.json").read_text() == before


def test_instruction_tuning_leaves_an_adapter_and_its_curve(finished: Path) -> None:
    curve = files.read_json(STARTS / "tallrec" / "curve.json")
    assert (curve["n_rows"], curve["n_steps"], len(curve["curve"])) == (20, 3, 3)
    assert (STARTS / "tallrec" / WEIGHTS).exists()
    assert not (STARTS / "rt" / WEIGHTS).exists()


@pytest.mark.parametrize("is_on", [False, True])
def test_instruction_tuning_checkpoints_activations_where_its_own_key_says_so(finished: Path, is_on: bool) -> None:
    schedules: list[Schedule] = []

    def note(model: object, tokenizer: object, rows: object, schedule: Schedule, *_: object, **__: object) -> None:
        schedules.append(schedule)
        raise BenchmarkError("seen")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("tallrec.training.tuning.instruction_tune", note)
        sections = {
            "instruct": PARAMS.instruct.model_copy(update={"gradient_checkpointing": is_on, "micro_batch_size": 5}),
            "tune": PARAMS.tune.model_copy(update={"gradient_checkpointing": not is_on}),
        }
        use(PARAMS.model_copy(update=sections), monkeypatch)
        assert instruct.main([]) == 2
    assert [(schedule.gradient_checkpointing, schedule.micro_batch_size) for schedule in schedules] == [(is_on, 5)]


def test_a_tuning_that_diverges_is_one_line_and_stores_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (STARTS / "tallrec" / WEIGHTS).read_bytes()
    with pytest.MonkeyPatch.context() as monkeypatch:
        section = PARAMS.instruct.model_copy(update={"learning_rate": 1e30, "warmup_updates": 0})
        use(PARAMS.model_copy(update={"instruct": section}), monkeypatch)
        assert instruct.main([]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: update 2: the ")
    assert (STARTS / "tallrec" / WEIGHTS).read_bytes() == before


def test_tuning_leaves_an_adapter_its_curve_and_a_record(finished: Path) -> None:
    for recipe in PARAMS.grid.recipes:
        folder = paths.adapter_folder(f"{recipe}-movie", 4, 0)
        curve = files.read_json(folder / "curve.json")
        assert [entry["step"] for entry in curve["curve"]] == [2, 4]
        assert curve["best_step"] in (2, 4)
        best = max(entry["auc"] for entry in curve["curve"])
        assert curve["is_at_chance"] is (best <= curve["chance_auc"])
        cell = next(tuned_cells(PARAMS, recipe, "movie"))
        record = json.loads(run_file(cell, "runs/tune").read_text())
        assert (record["n_train"], record["n_steps"], record["n_resumed"]) == (4, 4, 0)
        assert (record["best_auc"], record["is_at_chance"]) == (best, curve["is_at_chance"])


def test_a_tuning_at_chance_warns(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Next to nothing is learned with this rate, and ten rows are few: whatever the AUC is, it may be chance.
    with pytest.MonkeyPatch.context() as monkeypatch:
        section = PARAMS.tune.model_copy(update={"learning_rate": 1e-9})
        use(PARAMS.model_copy(update={"tune": section}), monkeypatch)
        arguments = ["--recipe", "rt", "--train-domain", "movie", "--n-shots", "4", "--seed", "0"]
        folder = paths.adapter_folder("rt-movie", 4, 0)
        record = run_file(next(tuned_cells(PARAMS, "rt", "movie")), "runs/tune")
        kept = {path: path.read_bytes() for path in (*folder.iterdir(), record)}
        try:
            assert tune.main(arguments) == 0
            curve = files.read_json(folder / "curve.json")
        finally:
            for path, content in kept.items():
                path.write_bytes(content)
    assert curve["is_at_chance"]
    expected = f"warning: rt-movie k4 seed0: no validation AUC x100 was above {100 * curve['chance_auc']:.2f}, which"
    assert expected in capsys.readouterr().err


def test_a_tracker_that_trainer_does_not_know_is_one_line(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        use(PARAMS.model_copy(update={"tune": PARAMS.tune.model_copy(update={"report_to": "trackoi"})}), monkeypatch)
        assert tune.main(["--recipe", "rt", "--train-domain", "movie", "--n-shots", "4", "--seed", "0"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: tune.report_to: 'trackoi' is not one of none, ")


@pytest.mark.parametrize(("weights_seed", "seeds"), [(None, (0, 1)), (5, (5, 5))])
def test_a_seed_of_the_initial_weights_takes_the_place_of_that_of_the_draw(
    finished: Path, weights_seed: int | None, seeds: tuple[int, int]
) -> None:
    from tallrec.models import adapters

    real, weights, seeds_of_order = adapters.trainable_adapter, [], []

    def trainable_adapter(*arguments: Any) -> Any:
        adapted = real(*arguments)
        weights.append([parameter.tolist() for parameter in adapted.parameters() if parameter.requires_grad])
        return adapted

    def rec_tune(*arguments: Any, **_: Any) -> Any:
        seeds_of_order.append(arguments[3].seed)
        raise DataError("enough")  # nothing has to be tuned

    with pytest.MonkeyPatch.context() as monkeypatch:
        grid = PARAMS.grid.model_copy(update={"weights_seed": weights_seed})
        use(PARAMS.model_copy(update={"grid": grid}), monkeypatch)
        monkeypatch.setattr("tallrec.models.adapters.trainable_adapter", trainable_adapter)
        monkeypatch.setattr("tallrec.training.tuning.rec_tune", rec_tune)
        task = tune.training_task("movie", 4, 0)
        monkeypatch.setattr(tune, "training_task", lambda *_, **__: task)  # there is no draw of seed 1
        for seed in (0, 1):
            with pytest.raises(DataError, match="enough"):
                tune.run("rt", "movie", 4, seed)
    assert seeds_of_order == [derive_seed("tune", seed) for seed in seeds]
    assert len(weights[0]) > 0
    assert (weights[0] == weights[1]) is (seeds[0] == seeds[1])
    assert not Path("scratch/tune/rt-movie/k4/seed1").exists()


def test_recipes_start_from_different_weights(finished: Path) -> None:
    adapters = [paths.adapter_folder(f"{recipe}-movie", 4, 0) / WEIGHTS for recipe in PARAMS.grid.recipes]
    assert adapters[0].read_bytes() != adapters[1].read_bytes()


def test_every_tuned_cell_is_scored(finished: Path) -> None:
    for recipe in PARAMS.grid.recipes:
        found = [files.read_scores("predictions", cell) for cell in tuned_cells(PARAMS, recipe, "movie")]
        assert len(found) == 3
        for test_set, scores in zip(("movie", "movie-extended", "book"), found, strict=True):
            test = files.read_samples(paths.test_file(test_set))
            assert scores is not None
            assert scores.keys() == {sample.sample_id for sample in test}


def test_one_adapter_after_another_leaves_no_trace(finished: Path) -> None:
    # The base model is loaded once for all adapters; each cell alone gets the same scores.
    cells = list(tuned_cells(PARAMS, "rt", "movie"))
    together = [files.read_scores("predictions", cell) for cell in cells]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(score, "tuned_cells", lambda *_: cells[1:])
        assert score.main(["--recipe", "rt", "--train-domain", "movie"]) == 0
    assert files.read_scores("predictions", cells[1]) == together[1]


def test_an_adapter_without_effect_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Loaded, whole and not zero, and still the base model: what no check of the weights alone can see.
    from safetensors.torch import load_file, save_file

    path = paths.adapter_folder("rt-movie", 4, 0) / WEIGHTS
    kept = path.read_bytes()
    tensors = load_file(path)
    save_file({name: tensor * 1e-30 if "lora_B" in name else tensor for name, tensor in tensors.items()}, path)
    try:
        assert score.main(["--recipe", "rt", "--train-domain", "movie"]) == 2
    finally:
        path.write_bytes(kept)
    expected = "error: rt-movie movie-movie k4 seed0: its 10 scores are those of the model without the adapter\n"
    assert capsys.readouterr().err.endswith(expected)


def test_every_probe_of_every_cell_is_scored(finished: Path) -> None:
    cells = list(probe_cells(PARAMS, "tallrec-movie"))
    assert len(cells) == 1
    plain = files.read_scores("predictions", cells[0])
    assert plain is not None
    for name in PARAMS.probe.inputs:
        changed = files.read_scores(f"predictions/probe/tallrec-movie/{name}", cells[0])
        assert changed is not None
        assert changed.keys() == plain.keys()
        assert changed != plain


def test_untuned_models_are_scored_with_and_without_demonstrations(finished: Path) -> None:
    for model in PARAMS.grid.icl_models:
        for domain in PARAMS.grid.domains:
            cells = list(icl_cells(PARAMS, model, "released", domain))
            test_sets = PARAMS.test_sets(domain)
            assert [(cell.test_domain, cell.n_shots) for cell in cells] == [(t, n) for t in test_sets for n in (0, 2)]
            scores = [files.read_scores("predictions", cell) for cell in cells]
            for test_set, bare, shown in zip(test_sets, scores[::2], scores[1::2], strict=True):
                assert bare is not None
                assert shown is not None
                assert bare.keys() == shown.keys()
                assert bare.keys() == {sample.sample_id for sample in files.read_samples(paths.test_file(test_set))}
                assert bare != shown


def test_each_cell_has_a_record(finished: Path) -> None:
    cells = [*tuned_cells(PARAMS, "rt", "movie"), *icl_cells(PARAMS, "base", "released", "book")]
    for cell in cells:
        record = json.loads(run_file(cell).read_text())
        assert record["settings"]["llm"]["model"] == "tiny"
        assert record["n_test"] > 0
        assert 0 < record["answer_mass"] < 1


def test_a_published_adapter_takes_the_place_of_tuning(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = paths.adapter_folder("rt-movie", 4, 0)
    section = PARAMS.instruct.model_copy(update={"adapter": str(published)})
    use(PARAMS.model_copy(update={"instruct": section}), monkeypatch)
    kept = (STARTS / "tallrec" / WEIGHTS).read_bytes()
    assert instruct.main([]) == 0
    assert (STARTS / "tallrec" / WEIGHTS).read_bytes() == (published / WEIGHTS).read_bytes() != kept
    config = published / "adapter_config.json"
    assert files.read_json(STARTS / "tallrec" / OUTSIDE) == {
        str(published / WEIGHTS): checksum(published / WEIGHTS),
        str(config): checksum(config),
    }


def test_a_published_adapter_of_an_old_peft_is_converted(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    tuned, published = paths.adapter_folder("rt-movie", 4, 0), tmp_path / "alpaca-lora-7B"
    published.mkdir()
    weights = load_file(tuned / WEIGHTS)
    torch.save(weights, published / "adapter_model.bin")
    shutil.copy(tuned / "adapter_config.json", published)
    section = PARAMS.instruct.model_copy(update={"adapter": str(published)})
    use(PARAMS.model_copy(update={"instruct": section}), monkeypatch)
    assert instruct.main([]) == 0
    for name in ("tallrec", "alpaca"):
        written = load_file(STARTS / name / WEIGHTS)
        assert written.keys() == weights.keys()
        assert all(torch.equal(written[key], tensor) for key, tensor in weights.items())
    assert files.read_json(STARTS / "tallrec" / OUTSIDE) == {
        str(published / file): checksum(published / file) for file in ("adapter_model.bin", "adapter_config.json")
    }


def test_instructions_of_a_file_are_recorded(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(finished / paths.BASE_MODEL, tmp_path / paths.BASE_MODEL)
    shutil.copytree(finished / STARTS / "rt", tmp_path / STARTS / "rt")
    monkeypatch.chdir(tmp_path)
    data = Path("instructions.json")
    data.write_text(json.dumps([{"instruction": "Say yes.", "input": "", "output": "Yes."}]))
    section = PARAMS.instruct.model_copy(update={"data": str(data)})
    use(PARAMS.model_copy(update={"instruct": section}), monkeypatch)
    assert instruct.main([]) == 0
    assert files.read_json(STARTS / "tallrec" / OUTSIDE) == {str(data): checksum(data)}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"r": 16}, "adapter_config.json: r is 16, expected 8 as in section lora"),
        ({"lora_dropout": 0.1}, "adapter_config.json: lora_dropout is 0.1, expected 0.05 as in section lora"),
        (
            {"target_modules": ["q_proj", "k_proj"]},
            "adapter_config.json: target_modules is ['q_proj', 'k_proj'], expected ['q_proj', 'v_proj'] as in section",
        ),
        ({"peft_type": "IA3"}, "adapter_config.json: peft_type is 'IA3', expected 'LORA' as in section lora"),
        ("no config", "adapter_config.json: FileNotFoundError"),
        ("pointer", "adapter_config.json: a pointer of git LFS"),
        ("pointer of weights", "published/adapter_model.safetensors: a pointer of git LFS"),
        ("pickle", "adapter_model.bin: damaged: EOFError"),
        ("nothing", "adapter_model.safetensors or adapter_model.bin: missing"),
    ],
)
def test_a_published_adapter_of_another_kind_is_one_line(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    problem: str,
) -> None:
    published = tmp_path / "published"
    shutil.copytree(paths.adapter_folder("rt-movie", 4, 0), published)
    config = published / "adapter_config.json"
    if isinstance(change, dict):
        config.write_text(json.dumps(json.loads(config.read_text()) | change))
    elif change == "no config":
        config.unlink()
    elif change.startswith("pointer"):
        (config if change == "pointer" else published / WEIGHTS).write_bytes(POINTER)
    else:
        (published / WEIGHTS).unlink()
    if change == "pickle":
        (published / "adapter_model.bin").write_bytes(b"")
    section = PARAMS.instruct.model_copy(update={"adapter": str(published)})
    use(PARAMS.model_copy(update={"instruct": section}), monkeypatch)
    kept = (STARTS / "tallrec" / WEIGHTS).read_bytes()
    assert instruct.main([]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: instruct.adapter: ")
    assert problem in line
    assert (STARTS / "tallrec" / WEIGHTS).read_bytes() == kept


def test_a_model_in_a_folder_is_referred_to_with_its_digests(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = (finished / paths.BASE_MODEL).resolve()
    monkeypatch.chdir(tmp_path)
    section = PARAMS.llm.model_copy(update={"model": str(model)})
    use(PARAMS.model_copy(update={"llm": section}), monkeypatch)
    assert base.main([]) == 0
    assert [path.name for path in paths.BASE_MODEL.iterdir()] == ["origin.json"]
    origin = files.read_json(paths.BASE_MODEL / "origin.json")
    assert origin["model"] == str(model)
    assert re.fullmatch("[0-9a-f]{64}", origin["files"]["model.safetensors"])


def test_an_adapter_alone_is_no_base_model(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = (finished / paths.STARTS / "tallrec").resolve()
    monkeypatch.chdir(tmp_path)
    use(PARAMS.model_copy(update={"llm": PARAMS.llm.model_copy(update={"model": str(adapter)})}), monkeypatch)
    assert base.main([]) == 2
    assert "holds adapter_config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            "llm.model: its config.json has a quantization_co",
        ),
        ({"max_position_embeddings": 64}, "llm.max_length: 512 is more than the 64 positions of llm.model"),
    ],
)
def test_what_a_model_cannot_do_is_told_by_plan_and_by_base(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    problem: str,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(finished / paths.BASE_MODEL, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | change))
    monkeypatch.chdir(tmp_path)
    params = PARAMS.model_copy(update={"llm": PARAMS.llm.model_copy(update={"model": str(model), "max_length": 512})})
    use(params, monkeypatch)
    assert base.main([]) == 2
    assert capsys.readouterr().err.startswith(f"error: {problem}")
    with pytest.raises(BenchmarkError, match=problem):
        architecture(params)


@pytest.mark.parametrize(
    ("stage", "arguments", "problem"),
    [
        (
            tune,
            ["--recipe", "rt", "--train-domain", "movie", "--n-shots", "9", "--seed", "0"],
            "k9/seed0/draw.json: not there",
        ),
        (tune, ["--recipe", "rt", "--train-domain", "book2", "--n-shots", "4", "--seed", "0"], "book2"),
        (score, ["--recipe", "rt", "--train-domain", "book"], "grid.train_domains: 'book' is not one of movie"),
    ],
)
def test_what_is_missing_is_one_line(
    finished: Path, stage: Any, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert problem in errors[0]


def test_an_adapter_that_was_not_tuned_is_one_line(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(PARAMS.model_copy(update={"grid": PARAMS.grid.model_copy(update={"n_shots": (9,)})}), monkeypatch)
    assert score.main(["--recipe", "rt", "--train-domain", "movie"]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "rt-movie/k9/seed0/adapter_model.safetensors: not there" in error


def test_stages_without_a_base_model_end_with_one_line(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(PARAMS, monkeypatch)
    assert instruct.main([]) == 2
    assert capsys.readouterr().err.startswith(
        "error: models/base/origin.json: not there; `dvc repro tallrec/dvc.yaml:base`"
    )
    assert not Path("models/start").exists()
