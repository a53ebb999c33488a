"""What the page says of what a language model may have known before."""

import csv
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.diagnostics.memorised import completions_judged, ratings_judged
from benchmark.schema import Item
from benchmark.stages import evaluate, report


def judged() -> dict[str, Any]:
    """What stage `memorised` writes of a model that knows a third of the titles and no rating."""
    import numpy as np

    rng = np.random.default_rng(0)
    log_p = rng.normal(-3, 1, 30)
    completions = completions_judged(np.arange(30) < 10, np.zeros(30, bool), log_p + 1.25, log_p, 0.95)
    stars = rng.integers(1, 6, 30).tolist()
    shown = rng.integers(1, 6, (30, 10)).tolist()
    ratings = ratings_judged(rng.dirichlet(np.ones(5), 30), rng.dirichlet(np.ones(5), 30), stars, shown, 3.0, 0.95)
    return {"title of an item": completions, "rating of a user": ratings}


@pytest.fixture
def asked(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished run, whose films have years, and a model that was asked about their lines."""
    memory = params.memory.model_copy(update={"domains": ("movie",)})
    monkeypatch.setattr("benchmark.report.inputs.load_config", lambda: params.model_copy(update={"memory": memory}))
    content = {"confidence": 0.95, "model": {"model": "package:films/x.gguf"}, "checks": judged()}
    files.write_json(paths.memorised_file("movie"), content)
    for name in params.test_sets("movie"):
        samples = files.read_samples(paths.test_file(name))
        turned = [type(one)(one.sample_id, one.user_id, one.history, f"i{row % 3}") for row, one in enumerate(samples)]
        files.write_samples(paths.test_file(name), turned)
    items = {f"i{film}": Item(f"i{film}", "movie", f"Film ({1990 + film})", "") for film in range(3)}
    files.write_items(paths.prepared_folder("movie") / "items.parquet", items)
    return finished_run


def table(name: str) -> dict[tuple[str, str], dict[str, str]]:
    with Path(f"results/tables/{name}.csv").open(newline="") as stream:
        return {(line["name"], line.get("K", "")): line for line in csv.DictReader(stream)}


def test_completions_stand_beside_their_controls(asked: Path) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    lines = table("memorised_movie")
    titles = lines["title of an item", ""]
    assert (titles["asked"], titles["exact"], titles["exact, control"]) == ("30", "10 [17.3 %, 52.8 %]", "0")
    assert titles["value minus control"].startswith("+1.25 [1.25, 1.25")
    assert (titles["rule"], titles["exact, rule"]) == ("\u2013", "\u2013")
    ratings, found = lines["rating of a user", ""], judged()["rating of a user"]
    assert ratings["measure"] == "AUC of likes"
    assert ratings["value"].startswith(f"{100 * found['value']:.1f} [")
    assert ratings["value minus rule"].startswith(f"{100 * found['difference_to_rule']:+.1f} [")
    html = (asked / "results/report.html").read_text()
    assert "Lines of movie that package:films/x.gguf completes" in html
    assert "one who knows the file" not in html


def test_earlier_films_stand_beside_later_ones(asked: Path) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    lines = table("years_movie")
    tuned, on_both = "RT alone (tiny LM), tuned on movie", "TALLRec (tiny LM), tuned on both"
    assert {name for name, _ in lines} >= {tuned, on_both, "icl-alpaca-released", "liked_share"}
    assert {k for name, k in lines if name == tuned} == {"4", "16"}
    assert {k for name, k in lines if name == "item_mean"} == {"16"}
    assert list(lines[tuned, "4"]) == ["name", "group", "K", "films up to 1991", "later films", "difference"]
    html = (asked / "results/report.html").read_text()
    assert "40 rows of 6 users" in html.replace("up to the median year ", "")
    assert "AUC on earlier and on later films, movie-extended" in html
    assert not Path("results/tables/years_book.csv").exists()


def test_nothing_stands_there_where_nothing_was_run(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    assert "may have known before" not in (finished_run / "results/report.html").read_text()
    assert not [*Path("results/tables").glob("years_*"), *Path("results/tables").glob("memorised_*")]
