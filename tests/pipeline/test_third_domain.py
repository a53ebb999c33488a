"""A domain of the user's own, from a mirror folder to the table: a section of `params.yaml` is all it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import METRICS_CSV, prepared_folder
from benchmark.config.reading import read_yaml
from benchmark.stages import baselines, controls, draw, evaluate, prepare, raw
from benchmark.statistics.results import read_rows

ROOT = Path(__file__).parents[2]
SECTION: dict[str, Any] = {
    "format": "ratings-table",
    "source": "official",
    "noun": "game",
    "release": "my-games",
    "layout": "csv",
    "history_length": 5,
    "liked_above": 3.5,
    "selection": "described",
    "n_samples": 200,
    "split": [0.5, 0.2, 0.3],
}


def write_mirror(folder: Path) -> None:
    """Ratings of 30 users and 20 titles, and one line that is none."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = [
        f"{user},{item},{rng.integers(1, 11) / 2},{1_700_000_000 + rng.integers(1_000_000)}"
        for user in range(30)
        for item in rng.permutation(20)[:15].tolist()
    ]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows, "not a rating", ""]))
    titles = [f"{item},Game {item},Puzzle" for item in range(20)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles, ""]))


def test_a_domain_of_ones_own_gets_its_rows_in_the_table(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mirror(repository / "mirror/my-games")
    monkeypatch.setenv("TALLREC_BENCH_MIRROR", str(repository / "mirror"))
    params = read_yaml(ROOT / "params.yaml")
    params["domains"]["games"] = SECTION
    params["grid"] |= {"domains": ["games"], "n_shots": [16], "seeds": [0], "baselines": ["gru4rec"]}
    params["grid"] |= {key: [] for key in ("recipes", "train_domains", "icl_models", "prompts")}
    params["probe"] |= {"variants": [], "inputs": []}
    params["efficiency"] |= {"configurations": []}
    params["baselines"]["training"] |= {"n_updates": 2, "eval_every": 1}
    with Path("params.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(params, stream)
    for stage in (raw, prepare):
        assert stage.main(["--domain", "games"]) == 0
    assert draw.main([]) == 0
    assert controls.main(["--domain", "games"]) == 0
    assert baselines.main(["--baseline", "gru4rec", "--domain", "games"]) == 0
    assert evaluate.main([]) == 0
    rows = read_rows(METRICS_CSV)
    assert {row.cell.test_domain for row in rows} == {"games"}
    assert {row.status for row in rows} == {"ok"}
    assert {row.n_samples for row in rows} == {60}
    assert {"liked_share", "gru4rec", "gru4rec-shared"} <= {row.cell.method for row in rows}
    notes = read_json(prepared_folder("games") / "stats.json")["notes"]
    assert notes["ratings"] == {"read": 451, "used": 450, "broken_line": 1}
    assert notes["first_lines_left_out"]["ratings"] == {"broken_line": 452}
