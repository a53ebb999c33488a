"""The plan of a run as a whole: the network is not asked, what is told of servers, and the short and the long way."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.params import Params
from benchmark.methods.configuration import with_presets
from benchmark.planning.devices import CPU, Device
from benchmark.planning.foretold import foretold, questions
from benchmark.planning.model import architecture, tokenizer
from benchmark.planning.plan import Planner
from benchmark.planning.rows import rows_of
from benchmark.planning.show import show
from benchmark.planning.sizes import sizes
from benchmark.planning.trials import baseline_seconds
from benchmark.schema import EXTENDED
from tallrec.cost.trial import Speeds

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and a network that nobody may ask."""

    def refuse(*_: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TALLREC_BENCH_MIRROR", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def preset(*names: str) -> Params:
    return with_presets(names, REPOSITORY / "params.yaml")


def test_the_model_of_preset_paper_is_known_without_the_hub() -> None:
    paper = preset("paper")
    assert architecture(paper).hidden_size == 4096
    assert tokenizer(paper) is None


def test_a_tokenizer_that_is_not_made_yet_is_not_looked_for(params: Params) -> None:
    assert params.llm.model == "tiny"
    assert tokenizer(params) is None


def test_questions_and_money_are_told_before_the_first_is_asked() -> None:
    params = preset("real-cpu", "api/openai")
    found = sizes(params)
    (asked,) = questions(params, found)
    # Two styles on the test rows of both domains; the further test set is not asked about.
    assert asked.n_questions == 2 * (1000 + 2427)
    tokens = sum(
        n * found.prompts.of(d, s).mean for s in ("released", "gpt") for d, n in (("movie", 1000), ("book", 2427))
    )
    assert asked.n_input_tokens == round(tokens)
    assert asked.dollars == pytest.approx((0.15 * tokens + 0.6 * asked.n_questions) / 1e6)
    (free,) = questions(preset("real-cpu", "api/local-server"), found)
    assert free.dollars is None


def test_without_trials_every_stage_is_told() -> None:
    smoke = foretold(preset("smoke"), tries=False)
    stages = [work.stage for work in smoke.works]
    assert stages[-8:] == ["instruct", "tune", "score", "probe", "icl", "efficiency", "evaluate", "report"]
    assert 3 * 60 < smoke.seconds < 30 * 60
    assert foretold(preset("look"), tries=False).seconds < smoke.seconds
    assert foretold(preset("paper"), tries=False).seconds > 100 * smoke.seconds


@pytest.mark.slow
def test_a_baseline_that_is_tried_takes_longer_with_more_to_do(params: Params) -> None:
    rows = rows_of(params, "movie")
    assert rows is not None
    n_test = {"movie": len(rows.test), "movie" + EXTENDED: rows.n_extended}

    def seconds(**grid: Any) -> float:
        changed = params.model_copy(update={"grid": params.grid.model_copy(update=grid)})
        return baseline_seconds(changed, "gru4rec", "movie", rows, n_test)

    few, many = seconds(seeds=(0, 1)), seconds(seeds=tuple(range(20)))
    assert 4 < many / few < 25  # ten times, and the noise of a busy machine


@pytest.mark.slow
def test_measured_speeds_decide_the_time(params: Params) -> None:
    planner = Planner(params, sizes(params, n_tokens=24))
    speeds = planner.speeds(params.llm.dtype)
    assert 1e6 < speeds.tuning < 1e14
    assert 1e6 < speeds.scoring < 1e14
    where = Device(CPU, 2**33, 1e12, 0.5, is_measured=False)
    slower = type(speeds)(speeds.scoring / 1000, speeds.tuning / 1000)
    fast, slow = ({work.stage: work.seconds for work in planner.works(where, s)} for s in (speeds, slower))
    assert all(slow[stage] > fast[stage] for stage in ("base", "instruct", "tune", "score", "icl"))


@pytest.mark.slow
def test_a_faster_type_of_weights_is_told(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    movie = {"domains": ("movie",), "train_domains": ("movie",)}
    params = params.model_copy(update={"grid": params.grid.model_copy(update=movie)})
    plan = foretold(params, memory="24GB", n_tokens=24)
    assert plan.speeds is not None
    for times, is_told in ((2.0, True), (1.0, False), (0.5, False)):
        other = Speeds(plan.speeds.scoring, times * plan.speeds.tuning)
        show(params, replace(plan, other_speeds=other))
        assert ("llm.dtype: bfloat16 tunes 2.0 times as fast here" in capsys.readouterr().out) is is_told
