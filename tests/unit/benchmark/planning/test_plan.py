"""The plan: sizes before a run, devices, and what stages cost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.overlays import merged, preset_text
from benchmark.config.params import Params
from benchmark.config.reading import parse_yaml
from benchmark.errors import ConfigError
from benchmark.methods.configuration import parse_config
from benchmark.planning.devices import CPU, Device, bytes_of, chosen_device, named_device, stated_speed
from benchmark.planning.plan import START_SECONDS, Planner, Work
from benchmark.planning.prompts import Prompted, Prompts
from benchmark.planning.sizes import sizes

REPOSITORY = Path(__file__).parents[4]
GIB = 2**30
CARD = Device("a card", 24 * GIB, 1e12, 0.5, is_measured=False)


@pytest.fixture
def planner(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planner:
    monkeypatch.chdir(tmp_path)
    return Planner(params, sizes(params, n_tokens=24))


def of_lengths(params: Params, **n_tokens: int) -> Prompts:
    """Prompts of so many tokens in each domain, that share none."""
    prompts = Prompts(params, {}, None)
    prompts.of = lambda domain, *_: Prompted([[-row] * n_tokens[domain] for row in range(16)])
    return prompts


def test_the_rows_of_a_further_test_set_take_their_time(params: Params, planner: Planner) -> None:
    slow = replace(CARD, flops_per_second=1e6)

    def seconds(n_further: int) -> dict[str, float]:
        n_test = planner.sizes.n_test | {"movie-extended": n_further}
        works = Planner(params, replace(planner.sizes, n_test=n_test)).works(slow)
        return {work.stage: work.seconds for work in works}

    without, less, more = seconds(0), seconds(100), seconds(200)
    for stage in ("score", "icl"):
        assert more[stage] - less[stage] == pytest.approx(less[stage] - without[stage])
        assert less[stage] > without[stage]
    assert [more[stage] for stage in ("instruct", "tune", "probe")] == [
        without[stage] for stage in ("instruct", "tune", "probe")
    ]


def test_every_stage_that_runs_the_model_is_planned(planner: Planner) -> None:
    works = {work.stage: work for work in planner.works(CARD)}
    assert list(works) == ["base", "instruct", "tune", "score", "probe", "icl", "efficiency"]
    # 2 recipes, 3 training domains, 2 K, 2 seeds; each scored on 3 test sets.
    assert (works["tune"].n_processes, works["tune"].n_cells) == (24, 24)
    assert (works["score"].n_processes, works["score"].n_cells) == (6, 72)
    assert (works["icl"].n_processes, works["icl"].n_cells) == (1, 3)
    assert all(work.fits(CARD) and work.seconds > 0 for work in works.values())


def test_half_the_speed_takes_twice_the_time_of_computing(planner: Planner) -> None:
    fast, slow = (
        {work.stage: work.seconds for work in planner.works(Device("", GIB, speed, 0.5, is_measured=False))}
        for speed in (2e9, 1e9)
    )
    for stage, n_processes in (("tune", 24), ("score", 6)):
        start = START_SECONDS * n_processes
        assert slow[stage] - start == pytest.approx(2 * (fast[stage] - start))


def test_epochs_are_planned_as_the_updates_that_they_are(params: Params, planner: Planner) -> None:
    slow = replace(CARD, flops_per_second=1e6)

    def seconds(n_shots: int, **values: int | None) -> float:
        grid = params.grid.model_copy(update={"n_shots": (n_shots,), "train_domains": ("movie", "book")})
        tune = params.tune.model_copy(update={"batch_size": 16, "eval_every": 10, **values})
        changed = Planner(params.model_copy(update={"grid": grid, "tune": tune}), planner.sizes)
        return {work.stage: work.seconds for work in changed.works(slow)}["tune"]

    epochs = {"n_updates": None, "n_epochs": 20}
    assert seconds(16, **epochs) == pytest.approx(seconds(16, n_updates=20))
    assert seconds(64, **epochs) == pytest.approx(seconds(64, n_updates=80))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["instruct", "tune"])
def test_checkpointing_is_planned_for_the_stage_that_does_it(params: Params, planner: Planner, stage: str) -> None:
    def peaks(stages: set[str]) -> dict[str, int]:
        # Of four layers, or there is next to nothing to drop; with the same loss, or no step is as large as another.
        changes: dict[str, Any] = {"base": params.base.model_copy(update={"n_layers": 4})}
        for name in ("instruct", "tune"):
            on = {"gradient_checkpointing": name in stages, "micro_batch_size": 16}
            changes[name] = getattr(params, name).model_copy(update=on)
        changed = params.model_copy(update=changes)
        found = Planner(changed, replace(planner.sizes, prompts=of_lengths(params, movie=200, book=200)))
        return {work.stage: work.peak_bytes for work in found.works(CARD)}

    plain, changed = peaks(set()), peaks({stage})
    assert changed[stage] < plain[stage]
    assert {**changed, stage: 0, "efficiency": 0} == {**plain, stage: 0, "efficiency": 0}


@pytest.mark.slow
def test_instruction_tuning_of_preset_paper_fits_its_card_in_few_passes_over_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = REPOSITORY / "params.yaml"
    text = merged(path.read_text(encoding="utf-8"), preset_text("paper"))
    paper = parse_config(parse_yaml(text, path), path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    instruct, longest = paper.instruct, sizes(paper, n_tokens=paper.llm.max_length)
    # Each micro-batch unpacks all 8-bit weights, so that few are better; a third of the card is left for what is not
    # foretold.
    assert instruct.batch_size / instruct.micro_batch_size <= 8
    assert Planner(paper, longest).instructing(instruct.micro_batch_size).peak_bytes < 2 / 3 * CARD.memory_bytes


def test_long_answers_of_instruction_tuning_go_through_the_output_layer(params: Params, planner: Planner) -> None:
    slow = replace(CARD, flops_per_second=1e6)

    def seconds(data: str) -> float:
        instruct = params.instruct.model_copy(update={"data": data, "loss": "answer", "n_updates": 10, "batch_size": 4})
        changed = Planner(params.model_copy(update={"instruct": instruct}), planner.sizes)
        return {work.stage: work.seconds for work in changed.works(slow)}["instruct"]

    # No row is longer here than the simulated ones, so that only the answers differ: of 60 and of 148 tokens.
    in_output = params.base.vocabulary_size * params.base.hidden_size
    expected = 4 * in_output * (148 - 60) * 10 * 4 / (slow.flops_per_second * slow.utilisation)
    assert planner.sizes.tokens_of() <= 130
    assert seconds("alpaca-demo") - seconds("rows.json") == pytest.approx(expected)


def test_processes_of_a_cell_divide_the_hours_of_tuning_alone(params: Params, planner: Planner) -> None:
    slow = replace(CARD, flops_per_second=1e6)

    def hours(n_processes: int, device: Device) -> dict[str, float]:
        tune = params.tune.model_copy(update={"n_processes": n_processes})
        changed = Planner(params.model_copy(update={"tune": tune}), planner.sizes)
        return {work.stage: work.seconds for work in changed.works(device)}

    alone, together = hours(1, slow), hours(4, slow)
    start = START_SECONDS * 24
    assert together["tune"] - start == pytest.approx((alone["tune"] - start) / 4, rel=0.01)  # smaller batches
    assert [together[stage] for stage in ("instruct", "score", "icl")] == [
        alone[stage] for stage in ("instruct", "score", "icl")
    ]
    # On a CPU they share the cores.
    assert hours(4, replace(slow, name="CPU"))["tune"] == pytest.approx(alone["tune"], rel=0.01)


@pytest.mark.slow
def test_processes_that_share_the_weights_need_less_memory_to_tune_and_to_score_as_much(params: Params) -> None:
    n_layers = 6  # two of them are whole at a time

    def peaks(**changes: object) -> dict[str, int]:
        base = params.base.model_copy(update={"n_layers": n_layers, "vocabulary_size": 500})
        changed = params.model_copy(update={"base": base, "tune": params.tune.model_copy(update=changes)})
        planner = Planner(changed, sizes(changed, n_tokens=24))
        return {work.stage: work.peak_bytes for work in planner.works(CARD)}

    whole, in_shards = peaks(n_processes=4), peaks(n_processes=4, sharded=True)
    size = params.base.hidden_size
    a_layer = 4 * (4 * size**2 + 3 * size * params.base.intermediate_size)
    outside = 4 * 500 * size
    saved = (n_layers * a_layer + outside) * 3 / 4 - 2 * a_layer - outside
    assert whole["tune"] - in_shards["tune"] == pytest.approx(saved, rel=0.01)
    assert {**in_shards, "tune": 0} == {**whole, "tune": 0}


@pytest.mark.slow
def test_the_largest_micro_batch_is_the_last_that_fits(planner: Planner) -> None:
    memory = planner.tuning(5).peak_bytes + 600 * 2**20
    assert planner.largest_micro_batch(memory, at_most=16) == 5
    assert planner.largest_micro_batch(memory - 1, at_most=16) == 4
    assert planner.largest_micro_batch(10, at_most=16) == 0
    assert planner.largest_micro_batch(100 * GIB, at_most=16) == 16


def test_what_is_larger_than_the_device_does_not_fit() -> None:
    assert not Work("tune", 1, 1, 24 * GIB + 1, 1.0).fits(CARD)
    assert Work("tune", 1, 1, 24 * GIB, 1.0).fits(CARD)


def test_a_measured_share_of_the_peak_takes_the_place_of_the_assumed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not named_device("NVIDIA GeForce RTX 3090", 24 * GIB).is_measured
    rows = [
        {"device": "NVIDIA GeForce RTX 3090", "utilisation": 0.41},
        {"device": "NVIDIA GeForce RTX 3090", "status": "does not fit"},
        {"device": "CPU", "utilisation": 0.9},
    ]
    for number, row in enumerate(rows):
        files.write_json(paths.efficiency_file(f"c{number}"), row)
    found = named_device("NVIDIA GeForce RTX 3090", 24 * GIB)
    assert (found.utilisation, found.is_measured, found.flops_per_second) == (0.41, True, 71e12)


@pytest.mark.parametrize(("text", "expected"), [("24GB", 24 * GIB), ("1.5 gib", 3 * GIB // 2), ("900MB", 900 * 2**20)])
def test_sizes_of_memory(text: str, expected: int) -> None:
    assert bytes_of(text) == expected


@pytest.mark.parametrize(
    ("name", "memory", "problem"),
    [
        ("", "24", "'24' is no size"),
        ("RTX 3090", "", "give --memory too"),
        ("Abacus", "1GB", r"'Abacus' is not listed; give its .*--tflops 71"),
    ],
)
def test_a_device_that_is_not_understood_is_one_line(name: str, memory: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        chosen_device("float32", name=name, memory=memory)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA RTX A4000", 76.7),
        ("NVIDIA A40", 149.7),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L40", 181.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA A10G", 70.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.5),
        ("Tesla T4", 65.0),
        ("rtx 4090", 165.2),
        ("NVIDIA T400", None),
        ("NVIDIA A800", None),
        ("NVIDIA GeForce RTX 3080 Ti", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
    ],
)
def test_a_card_is_not_taken_for_another(name: str, tera: float | None) -> None:
    assert stated_speed(name) == (None if tera is None else pytest.approx(tera * 1e12))


def test_the_speed_of_a_card_that_is_not_listed_can_be_given(repository: Path) -> None:
    found = chosen_device("float16", name="Abacus", memory="8GB", tflops=12.5)
    assert (found.name, found.memory_bytes, found.flops_per_second) == ("Abacus", 8 * GIB, 12.5e12)
    here = chosen_device("float32", name="", memory="8GB", tflops=12.5)
    assert here.flops_per_second == 12.5e12
    with pytest.raises(ConfigError, match=r"^--tflops: -1 is no speed"):
        chosen_device("float16", name="Abacus", memory="8GB", tflops=-1)


def test_a_card_of_this_machine_that_is_not_listed_is_measured(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA Abacus")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (0, 8 * GIB))
    monkeypatch.setattr("tallrec.cost.products.speed_of_products", lambda dtype: 3e12)
    found = chosen_device("float16", name="", memory="")
    assert (found.name, found.memory_bytes, found.flops_per_second) == ("NVIDIA Abacus", 8 * GIB, 3e12)
    assert found.name != CPU


def test_memory_is_that_of_the_longest_prompts_and_time_that_of_each_domain(params: Params, planner: Planner) -> None:
    def works(movie: int, book: int) -> dict[str, Work]:
        lengths = replace(planner.sizes, prompts=of_lengths(params, movie=movie, book=book))
        slow = replace(CARD, flops_per_second=1e6)
        return {work.stage: work for work in Planner(params, lengths).works(slow)}

    short, mixed, long = works(24, 24), works(24, 96), works(96, 96)
    for stage in ("tune", "score", "icl"):
        assert mixed[stage].peak_bytes == long[stage].peak_bytes
        assert short[stage].seconds < mixed[stage].seconds < long[stage].seconds
