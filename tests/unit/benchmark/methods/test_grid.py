"""The cells that must exist, counted by hand for the small grid of these tests."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.artifacts.paths import CELL_FOLDERS, cell_folder
from benchmark.config.params import Params
from benchmark.methods.grid import baseline_cells, cells, control_cells, is_seeded
from benchmark.methods.language_model_cells import icl_cells, probe_cells, tuned_cells
from benchmark.schema import Cell

N_TRAIN = {"movie": 100, "book": 90}


def test_every_family_is_counted(params: Params) -> None:
    # 3 test sets, of which movie has 2; K in (4, 16), seeds 0 and 1.
    found = list(cells(params, N_TRAIN))
    counts = {family: sum(cell.family == family for cell in found) for family in CELL_FOLDERS}
    assert counts == {
        "control": 3 * (2 + 1 + (2 * 2 + 1)),  # random a seed, liked_share once, item_mean a draw and on all rows
        "baseline": 3 * 2 * (2 * 2),  # 2 heads
        "icl": 3 * 1,  # zero-shot alone
        "tuned": 2 * 3 * 3 * (2 * 2),  # 2 recipes, 3 training domains
        "external": 0,
    }
    assert len(found) == sum(counts.values()) == len(set(found))


def test_cheap_seeds_are_of_baselines_and_controls_alone(params: Params) -> None:
    more = params.model_copy(update={"grid": params.grid.model_copy(update={"cheap_seeds": (0, 1, 2, 3, 4)})})
    shown = more.model_copy(update={"icl": more.icl.model_copy(update={"n_demonstrations": (0, 2)})})
    found = list(cells(shown, N_TRAIN))
    families = {cell.family for cell in found}
    seeds = {family: {cell.seed for cell in found if cell.family == family} for family in families}
    assert seeds == {"control": {0, 1, 2, 3, 4}, "baseline": {0, 1, 2, 3, 4}, "icl": {0, 1}, "tuned": {0, 1}}
    of_rules = {(cell.method, cell.n_shots, cell.seed) for cell in control_cells(more, "book", 90)}
    assert {seed for method, n_shots, seed in of_rules if method == "liked_share" or n_shots == 90} == {0}
    assert set(cells(params, N_TRAIN)) < set(cells(more, N_TRAIN))


def test_no_two_cells_share_a_folder(params: Params) -> None:
    found = list(cells(params, N_TRAIN))
    assert len({cell_folder("predictions", cell) for cell in found}) == len(found)


@pytest.mark.parametrize(
    ("cell", "folder"),
    [
        (("control", "liked_share", "movie", 0), "control/movie-movie/extended/liked_share/k0/seed3"),
        (("baseline", "gru4rec-tied", "movie", 4), "baseline/movie-movie/gru4rec/extended/gru4rec-tied/k4/seed3"),
        (("icl", "icl-base-gpt", "movie", 0), "icl/icl-base-gpt/movie-movie/extended/k0/seed3"),
        (("tuned", "rt-both", "both", 4), "tuned/rt-both/both-movie/extended/k4/seed3"),
    ],
)
def test_a_further_test_set_lies_in_the_folder_of_the_stage_and_apart(
    cell: tuple[str, str, str, int], folder: str
) -> None:
    family, method, train_domain, n_shots = cell
    further = Cell(family, method, train_domain, "movie-extended", n_shots, 3)
    assert cell_folder("predictions", further) == Path("predictions") / folder
    own = cell_folder("predictions", replace(further, test_domain="movie"))
    assert own == Path("predictions") / folder.replace("/extended", "")


def test_without_rows_for_it_there_is_no_further_test_set(params: Params) -> None:
    movie = params.domains["movie"].model_copy(update={"extended_rows_per_user": 0})
    without = params.model_copy(update={"domains": {**params.domains, "movie": movie}})
    found, everything = list(cells(without, N_TRAIN)), list(cells(params, N_TRAIN))
    assert found == [cell for cell in everything if cell.test_domain != "movie-extended"]


def test_only_the_named_styles_are_asked_about_a_further_test_set(params: Params) -> None:
    icl = params.icl.model_copy(update={"extended_prompts": ("gpt",)})
    asked = params.model_copy(update={"icl": icl})
    tested = {
        prompt: {cell.test_domain for cell in icl_cells(asked, "base", prompt, "movie")}
        for prompt in ("released", "gpt")
    }
    assert tested == {"released": {"movie"}, "gpt": {"movie", "movie-extended"}}


def test_a_learning_control_also_runs_on_all_rows(params: Params) -> None:
    shots = {(c.n_shots, c.seed) for c in control_cells(params, "book", 90) if c.method == "item_mean"}
    assert shots == {(4, 0), (4, 1), (16, 0), (16, 1), (90, 0)}


def test_a_draw_of_all_rows_is_no_second_cell(params: Params) -> None:
    found = [cell for cell in control_cells(params, "book", 16) if cell.method == "item_mean"]
    assert len(found) == len(set(found)) == 4


def test_controls_that_see_no_training_row_have_no_shots(params: Params) -> None:
    rest = [cell for cell in control_cells(params, "book", 90) if cell.method != "item_mean"]
    assert {cell.n_shots for cell in rest} == {0}
    assert [cell.seed for cell in rest if cell.method == "random"] == [0, 1]
    assert [cell.seed for cell in rest if cell.method == "liked_share"] == [0]


def test_a_baseline_is_tested_where_it_was_trained(params: Params) -> None:
    assert {(c.train_domain, c.test_domain) for c in baseline_cells(params, "gru4rec", "book")} == {("book", "book")}
    tested = {c.test_domain for c in baseline_cells(params, "gru4rec", "movie")}
    assert tested == {"movie", "movie-extended"}


def test_demonstrations_run_once_a_seed_and_zero_shot_once(params: Params) -> None:
    shown = params.model_copy(update={"icl": params.icl.model_copy(update={"n_demonstrations": (0, 4)})})
    found = list(icl_cells(shown, "alpaca", "paper", "movie"))
    assert [(cell.n_shots, cell.seed) for cell in found] == [(0, 0), (4, 0), (4, 1)]
    assert {cell.method for cell in found} == {"icl-alpaca-paper"}


def test_every_adapter_is_tested_on_every_domain(params: Params) -> None:
    found = list(tuned_cells(params, "rt", "both"))
    assert {(cell.train_domain, cell.test_domain) for cell in found} == {
        ("both", "movie"),
        ("both", "movie-extended"),
        ("both", "book"),
    }
    assert {cell.method for cell in found} == {"rt-both"}


def test_probes_look_at_the_largest_draw_on_its_own_domains(params: Params) -> None:
    movie, both = list(probe_cells(params, "tallrec-movie")), list(probe_cells(params, "rt-both"))
    assert {(cell.test_domain, cell.n_shots) for cell in movie} == {("movie", 16)}
    assert {(cell.test_domain, cell.n_shots) for cell in both} == {("movie", 16), ("book", 16)}
    assert len(movie) == 2
    assert len(both) == 4


@pytest.mark.parametrize(
    ("family", "method", "n_shots", "expected"),
    [
        pytest.param("control", "random", 0, True, id="random scores"),
        pytest.param("control", "liked_share", 0, False, id="a rule"),
        pytest.param("control", "item_mean", 4, True, id="a rule that learns from a draw"),
        pytest.param("control", "item_mean", 100, False, id="a rule that learns from all rows"),
        pytest.param("baseline", "gru4rec", 16, True, id="a baseline"),
        pytest.param("icl", "icl-base-released", 0, False, id="zero-shot"),
        pytest.param("icl", "icl-base-released", 4, True, id="drawn demonstrations"),
        pytest.param("tuned", "rt-movie", 4, True, id="a tuned cell"),
    ],
)
def test_what_depends_on_a_seed_is_known(
    params: Params, family: str, method: str, n_shots: int, expected: bool
) -> None:
    assert is_seeded(params, Cell(family, method, "movie", "movie", n_shots, 0)) is expected
