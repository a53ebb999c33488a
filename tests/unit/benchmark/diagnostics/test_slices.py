"""AUC of films up to the median year and of later ones."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.diagnostics.slices import PARTS, auc_by_part, parts_by_year, target_years, years_csv
from benchmark.schema import Cell, Interaction, Item, Sample
from benchmark.statistics.labels import read_test_rows

NAN = float("nan")


def test_the_median_year_is_in_the_first_part_and_rows_without_a_year_in_none() -> None:
    parts = parts_by_year(np.array([1990, 1995, 1995, 1996, NAN, 1999]))
    assert parts is not None
    assert parts.median_year == 1995
    assert parts.earlier.tolist() == [True, True, True, False, False, False]
    assert parts.later.tolist() == [False, False, False, True, False, True]


@pytest.mark.parametrize("years", [[NAN, NAN, 1990, 1991], [NAN] * 3, [1995] * 4, [1994, 1995, 1995]])
def test_there_are_no_parts_without_years_or_with_one_alone(years: list[float]) -> None:
    assert parts_by_year(np.array(years)) is None


def write(n_users: int = 8, n_rows_each: int = 20, *, shared: bool = True) -> None:
    """A movie test set of films from 1980 on, and a book test set without years; row ids are not in order of users."""
    rng = np.random.default_rng(0)
    samples, labels = [], {}
    for row in range(n_users * n_rows_each):
        user = row % n_users
        film = int(rng.integers(20)) if shared else user % 2 * 10 + int(rng.integers(10))
        samples.append(Sample(f"movie-{row}", f"u{user}", (Interaction("i1", liked=True),), f"i{film}"))
        labels[f"movie-{row}"] = bool(rng.integers(2))
    for domain in ("movie", "book"):
        ending = (lambda film: f" ({1980 + film}) ") if domain == "movie" else (lambda _: "")
        items = {f"i{film}": Item(f"i{film}", domain, f"2001 (A)(1950){ending(film)}", "") for film in range(20)}
        if domain == "book":
            items = {name: Item(name, domain, "No year", "") for name in items}
        files.write_items(paths.prepared_folder(domain) / "items.parquet", items)
        files.write_samples(paths.test_file(domain), samples)
        files.write_labels(paths.labels_file(domain), labels)


def test_the_last_year_of_a_title_counts(repository: Path) -> None:
    write()
    rows = read_test_rows("movie")
    years = target_years("movie", rows)
    targets = {sample.sample_id: sample.target_item_id for sample in files.read_samples(paths.test_file("movie"))}
    assert years.tolist() == [1980 + int(targets[sample_id][1:]) for sample_id in rows.sample_ids]
    assert np.isnan(target_years("book", read_test_rows("book"))).all()
    assert repository.exists()


def test_each_part_is_the_auc_of_its_rows(repository: Path) -> None:
    write()
    rows = read_test_rows("movie")
    parts = parts_by_year(target_years("movie", rows))
    assert parts is not None
    scores = np.random.default_rng(1).normal(size=len(rows.liked)) + rows.is_liked * parts.earlier
    found = auc_by_part(rows, scores, parts)
    aucs = [roc_auc_score(rows.is_liked[part], scores[part]) for part in (parts.earlier, parts.later)]
    values = [one.value for name in PARTS if (one := found[name])]
    assert values == pytest.approx([*aucs, aucs[0] - aucs[1]], abs=1e-12)
    assert repository.exists()


def test_the_influence_of_a_user_is_what_leaving_them_out_does(repository: Path) -> None:
    """Users who are in one part alone, too."""
    write(7, 12)
    rows = read_test_rows("movie")
    years = target_years("movie", rows)
    users = np.array(rows.users)
    years[users == "u6"] = 1980  # the last user in one part alone
    parts = parts_by_year(years)
    assert parts is not None
    scores = np.random.default_rng(2).normal(size=len(users)) + rows.is_liked
    found = auc_by_part(rows, scores, parts)[PARTS[2]]
    assert found is not None
    assert len(found.influence) == 7

    def between_users(part: np.ndarray, without: str = "") -> float:
        chosen = [row for row in np.flatnonzero(part) if users[row] != without]
        pairs = [(i, j) for i in chosen for j in chosen if rows.liked[i] and not rows.liked[j] and users[i] != users[j]]
        return float(np.mean([scores[i] > scores[j] for i, j in pairs]))

    whole = between_users(parts.earlier) - between_users(parts.later)
    expected = [
        7 * whole - 6 * (between_users(parts.earlier, user) - between_users(parts.later, user))
        for user in sorted(set(rows.users))
    ]
    assert sorted(found.influence) == pytest.approx(sorted(expected), abs=1e-9)
    assert repository.exists()


def test_other_people_in_each_part_have_no_difference(repository: Path) -> None:
    write(8, shared=False)
    rows = read_test_rows("movie")
    parts = parts_by_year(target_years("movie", rows))
    assert parts is not None
    users = np.array(rows.users)
    assert not set(users[parts.earlier]) & set(users[parts.later])
    found = auc_by_part(rows, np.random.default_rng(3).normal(size=len(users)), parts)
    assert found[PARTS[0]] is not None
    assert found[PARTS[2]] is None
    assert repository.exists()


def test_the_table_has_language_models_and_controls_over_their_seeds(repository: Path) -> None:
    write()
    truth = {name: read_test_rows(name) for name in ("movie", "book")}
    rng = np.random.default_rng(4)
    tuned = [Cell("tuned", "rt-movie", "movie", "movie", 16, seed) for seed in (0, 1)]
    cells = [
        *tuned,
        Cell("tuned", "rt-movie", "movie", "book", 16, 0),
        Cell("icl", "icl-base-released", "movie", "movie", 0, 0),
        Cell("icl", "icl-base-released", "movie", "movie", 2, 0),
        Cell("control", "liked_share", "movie", "movie", 0, 0),
        Cell("baseline", "gru4rec", "movie", "movie", 16, 0),
    ]
    scores = {cell: rng.normal(size=160) for cell in cells}
    text = years_csv(scores, truth, set(tuned), 0.95).decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["method"], line["test_domain"], line["n_shots"], line["part"]) for line in lines] == [
        (method, "movie", n_shots, part)
        for method, n_shots in (("rt-movie", "16"), ("icl-base-released", "0"), ("liked_share", "0"))
        for part in PARTS
    ]
    rows, parts = truth["movie"], parts_by_year(target_years("movie", truth["movie"]))
    assert parts is not None
    aucs = [roc_auc_score(rows.is_liked[parts.later], scores[cell][parts.later]) for cell in tuned]
    assert float(lines[1]["auc"]) == pytest.approx(np.mean(aucs), abs=1e-12)
    assert float(lines[1]["low"]) < float(lines[1]["auc"]) < float(lines[1]["high"])
    assert (lines[0]["n_samples"], lines[1]["n_samples"]) == (str(parts.earlier.sum()), str(parts.later.sum()))
    assert {line["median_year"] for line in lines} == {str(parts.median_year)}
    assert repository.exists()
