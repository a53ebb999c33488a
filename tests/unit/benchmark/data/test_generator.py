"""The embedded world as raw files that the real readers read, and the truth behind them."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.config.params import Params, Population, WorldParams
from benchmark.data.domains import DomainData, format_module
from benchmark.data.world import generator
from benchmark.data.world.generator import SERIES_SHARE, bayes_auc, liking, other_items, world_items, write_raw
from benchmark.data.world.words import OTHER_SERIES, SERIES
from benchmark.errors import ConfigError
from benchmark.methods.configuration import load_config
from benchmark.statistics.auc import roc_auc

COMMITTED = load_config(Path(__file__).parents[4] / "params.yaml")
NOUNS = {"movie": "ml-100k", "book": "bookcrossing"}
both_nouns = pytest.mark.parametrize("noun", NOUNS)


def small(**changes: Any) -> WorldParams:
    """The committed world with fewer users and items."""
    populations = {
        "ml-100k": Population(n_users=40, ratings_per_user=(20, 30)),
        "bookcrossing": Population(n_users=300, ratings_per_user=(4, 14)),
    }
    sizes = {"populations": populations, "n_items": 60, "n_other_items": 20}
    return COMMITTED.world.model_copy(update=sizes | changes)


def read(world: WorldParams, noun: str, folder: Path) -> DomainData:
    """The domain as stages `raw` and `prepare` make it."""
    write_raw(world, NOUNS[noun], noun, folder)
    section = COMMITTED.domains[noun].model_copy(update={"n_samples": 400} if noun == "movie" else {})
    return format_module(NOUNS[noun]).read(folder, section)


def written(world: WorldParams, noun: str, folder: Path) -> dict[str, bytes]:
    write_raw(world, NOUNS[noun], noun, folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@both_nouns
def test_the_real_reader_reads_it(noun: str, tmp_path: Path) -> None:
    world = small()
    data = read(world, noun, tmp_path / noun)
    titles = {item.title for item in world_items(world, noun)}
    assert all(any(title in item.text for title in titles) for item in data.items.values())
    for split, rows in data.splits.items():
        share = sum(row.liked for row in rows) / len(rows)
        assert 0.2 < share < 0.8, split


@both_nouns
def test_the_seed_decides_every_byte(noun: str, tmp_path: Path) -> None:
    first = written(small(), noun, tmp_path / "first")
    assert first == written(small(), noun, tmp_path / "again")
    other = written(small(seed=1), noun, tmp_path / "other")
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


@both_nouns
def test_every_user_rates_within_the_population_and_the_scale(noun: str, tmp_path: Path) -> None:
    world = small()
    population = world.populations[NOUNS[noun]]
    lowest, highest, _ = generator.SCALES[NOUNS[noun]]
    rows = list(generator._ratings(world, NOUNS[noun], noun))
    items: dict[int, list[int]] = defaultdict(list)
    for user, item, rating, _ in rows:
        assert lowest <= rating <= highest
        items[user].append(item)
    assert len(items) == population.n_users
    for rated in items.values():
        assert population.ratings_per_user[0] <= len(rated) <= population.ratings_per_user[1]
        assert len(set(rated)) == len(rated)
    assert {rating for _, _, rating, _ in rows} == set(range(lowest, highest + 1))


@both_nouns
def test_a_positive_utility_is_a_like(noun: str, tmp_path: Path) -> None:
    # Without noise the sign of the liking is the label.
    world = small(noise_sd=1e-9)
    truth = liking(world, noun, world.populations[NOUNS[noun]].n_users)
    highest_dislike = generator.SCALES[NOUNS[noun]][2]
    for user, item, rating, _ in generator._ratings(world, NOUNS[noun], noun):
        assert (rating > highest_dislike) == (truth[user - 1, item] > 0)


@both_nouns
def test_the_ceiling_is_the_auc_of_the_truth(noun: str, tmp_path: Path) -> None:
    world = small()
    test = read(world, noun, tmp_path / noun).splits["test"]
    ceiling = bayes_auc(world, noun, NOUNS[noun], test)
    assert 0.7 < ceiling < 1
    noiseless = small(noise_sd=1e-9)
    test = read(noiseless, noun, tmp_path / "noiseless" / noun).splits["test"]
    assert bayes_auc(noiseless, noun, NOUNS[noun], test) == 1


@both_nouns
def test_no_knowledge_of_items_alone_reaches_the_ceiling(noun: str, tmp_path: Path) -> None:
    world = small(leniency_sd=1.0)
    test = read(world, noun, tmp_path / noun).splits["test"]
    quality = {item.title: item.quality for item in world_items(world, noun)}
    data = read(world, noun, tmp_path / noun)
    scores = [
        next(q for title, q in quality.items() if title in data.items[row.sample.target_item_id].text) for row in test
    ]
    auc = roc_auc([row.liked for row in test], scores)
    assert 0.6 < auc < bayes_auc(world, noun, NOUNS[noun], test)


@both_nouns
def test_items_of_a_series_are_of_like_quality(noun: str) -> None:
    items = world_items(small(n_items=1000), noun)
    series: dict[str, list[float]] = defaultdict(list)
    for item in items:
        series[item.title.split()[0]].append(item.quality)
    within = float(np.mean([np.var(qualities) for qualities in series.values()]))
    assert within == pytest.approx(1 - SERIES_SHARE, abs=0.05)
    between = float(np.std([np.mean(qualities) for qualities in series.values()]))
    assert between == pytest.approx(math.sqrt(SERIES_SHARE), abs=0.4)


@both_nouns
def test_titles_are_unique(noun: str) -> None:
    items = [*world_items(COMMITTED.world, noun), *other_items(COMMITTED.world, noun)]
    assert len({item.title for item in items}) == len(items)


def test_no_first_word_belongs_to_two_series() -> None:
    words = [word for all_series in (SERIES, OTHER_SERIES) for series in all_series.values() for word in series]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    ("changes", "noun", "problem"),
    [
        ({}, "game", "items called movie, book, none called 'game'"),
        ({"n_items": 10**6}, "movie", "1000000 items are more than the [0-9]+ titles there are"),
    ],
)
def test_a_world_that_cannot_be_is_refused(changes: dict[str, Any], noun: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        world_items(small(**changes), noun)


def test_a_format_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written as ml-100k or bookcrossing, not as released-json"):
        write_raw(small(), "released-json", "movie", tmp_path / "movie")
    assert list(tmp_path.iterdir()) == []


def test_the_committed_world_fills_the_committed_domains(tmp_path: Path) -> None:
    params: Params = COMMITTED
    for noun, data_format in NOUNS.items():
        write_raw(params.world, data_format, noun, tmp_path / noun)
        data = format_module(data_format).read(tmp_path / noun, params.domains[noun])
        assert len(data.splits["test"]) >= 300
        assert len(data.splits["train"]) >= 10 * max(params.grid.n_shots)


def test_fame_is_uncorrelated_with_the_quality_of_series() -> None:
    rng = np.random.default_rng(0)
    quality, fame = rng.standard_normal(20), rng.standard_normal(20)
    found = generator._uncorrelated(fame, quality)
    assert np.corrcoef(found, quality)[0, 1] == pytest.approx(0, abs=1e-12)
    assert np.corrcoef(found, fame)[0, 1] > 0.8
    assert found.std() == pytest.approx(1)
