"""`prepare` on ratings in the format of MovieLens-32M: time, peak memory, growth, and the pandas way beside it.

    OMP_NUM_THREADS=2 python tests/benchmarks/large_data.py
    OMP_NUM_THREADS=2 python tests/benchmarks/large_data.py --rows 1000000 --samples 100000 --folder FOLDER

Ratings are generated with a seed, no real one is needed. Each size runs in a process of its own, so that its peak is
its own. At the smallest size the stage is compared with two ways to build the same rows: by the groups and rows of a
pandas table, and by lists alone, as the released `preprocess_movie.py` does. Their samples are checked to be equal.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmark.artifacts import paths  # noqa: E402
from benchmark.data.domains.ratings_table import Params, read  # noqa: E402
from benchmark.methods.configuration import load_config  # noqa: E402
from benchmark.schema import Labelled  # noqa: E402
from benchmark.stages.prepare import prepare  # noqa: E402

SEED = 0
RATINGS_PER_USER, RATINGS_PER_TITLE, FEWEST = 159, 365, 20
"""As in MovieLens-32M: 32,000,204 ratings of 87,585 titles by 200,948 users with 20 ratings or more."""
DOMAIN = "large"
FIRST_DAY, LAST_DAY = 789_652_004, 1_697_164_147
"""1995-01-09 and 2023-10-13, in seconds."""
LENGTH = 10
LIKED_ABOVE = 3.5


def generate(folder: Path, n_rows: int) -> None:
    """Write ratings.csv and movies.csv: sorted by user and title, half stars, popular titles, a few sessions a user."""
    rng = np.random.default_rng([SEED, n_rows])
    folder.mkdir(parents=True)
    n_items = n_rows // RATINGS_PER_TITLE
    activity = FEWEST + rng.lognormal(4.2, 1.2, n_rows // RATINGS_PER_USER)
    pairs, n_drawn = np.empty(0), n_rows
    while len(pairs) < n_rows:  # some are drawn twice
        n_drawn += n_rows // 4
        user = np.repeat(np.arange(len(activity)), np.ceil(activity * (n_drawn / activity.sum())).astype(np.int64))
        item = (n_items * rng.random(len(user)) ** 3).astype(np.int64)  # a few titles have most of the ratings
        pairs = np.unique(user * n_items + item)
    pairs = pairs[np.sort(rng.permutation(len(pairs))[:n_rows])]
    user, item = pairs // n_items, pairs % n_items
    leniency, quality = rng.normal(7, 1, len(activity)), rng.normal(0, 1, n_items)
    half_stars = np.clip(np.rint(leniency[user] + quality[item] + rng.normal(0, 1.2, n_rows)), 1, 10).astype(np.int64)
    start = rng.integers(FIRST_DAY, LAST_DAY - 10_000_000, len(activity))
    seconds = start[user] + rng.integers(0, 5, n_rows) * 2_000_000 + rng.integers(0, 7200, n_rows)
    stars = pa.array([f"{half / 2}" for half in range(11)])
    columns = {"userId": user + 1, "movieId": item * 3 + 1, "rating": stars.take(pa.array(half_stars))}
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    with (folder / "ratings.csv").open("wb") as stream:
        stream.write(b"userId,movieId,rating,timestamp\n")
        pa.csv.write_csv(pa.table({**columns, "timestamp": seconds}), stream, options)
    # A quarter holds a comma, as "American President, The (1995)".
    names = [f"Title {number} (1990)" if number % 4 else f'"Title {number}, The (1990)"' for number in range(n_items)]
    titles = [f"{number * 3 + 1},{name},Drama|Comedy" for number, name in enumerate(names)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles, ""]))


def section(n_samples: int) -> Params:
    """The domain, of the most recent rows."""
    keys: dict[str, Any] = {"format": "ratings-table", "source": "official", "noun": "movie", "release": "generated"}
    rest: dict[str, Any] = {"layout": "csv", "history_length": LENGTH, "liked_above": LIKED_ABOVE}
    return Params(**keys, **rest, selection="described", n_samples=n_samples, split=(0.8, 0.1, 0.1))


Row = tuple[str, tuple[tuple[str, bool], ...], str, bool]
"""User, history, target, like."""


def by_pandas(raw: Path, n_samples: int) -> list[Row]:
    """A table a user, sorted by time, and a row for each of its ratings with ten before it; the most recent last."""
    ratings = pd.read_csv(raw / "ratings.csv", dtype={"userId": str, "movieId": str})
    titles = pd.read_csv(raw / "movies.csv", dtype={"movieId": str})
    ratings = ratings.merge(titles[["movieId", "title"]], on="movieId", how="left")
    ratings["liked"] = ratings["rating"] > LIKED_ABOVE
    rows: list[dict[str, Any]] = []
    for user, group in ratings.groupby("userId", sort=False):
        ordered = group.sort_values("timestamp", kind="stable")
        columns = [ordered[name].tolist() for name in ("movieId", "liked", "title", "timestamp")]
        items, liked, names, times = columns
        for end in range(LENGTH, len(items)):
            history = slice(end - LENGTH, end)
            rows.append(
                {
                    "user_id": user,
                    "history_movie_id": items[history],
                    "history_rating": liked[history],
                    "history_movie_title": names[history],
                    "movie_id": items[end],
                    "rating": liked[end],
                    "movie_title": names[end],
                    "timestamp": times[end],
                }
            )
    table = pd.DataFrame(rows).sort_values("timestamp", kind="stable").tail(n_samples)
    return [
        (row["user_id"], tuple(zip(row["history_movie_id"], row["history_rating"], strict=True)), row["movie_id"],
         bool(row["rating"]))
        for _, row in table.iterrows()
    ]  # fmt: skip


def by_lists(raw: Path, n_samples: int) -> list[Row]:
    """Lists of Python objects, line by line, as the released script does."""
    users: dict[str, list[tuple[int, str, bool]]] = {}
    with (raw / "ratings.csv").open() as stream:
        next(stream)
        for line in stream:
            user, item, stars, seconds = line.strip().split(",")
            users.setdefault(user, []).append((int(seconds), item, float(stars) > LIKED_ABOVE))
    rows: list[tuple[int, Row]] = []
    for user, events in users.items():
        events.sort(key=lambda event: event[0])
        items = [event[1:] for event in events]
        for end in range(LENGTH, len(items)):
            rows.append((events[end][0], (user, tuple(items[end - LENGTH : end]), *items[end])))
    rows.sort(key=lambda row: row[0])
    return [row for _, row in rows[-n_samples:]]


def by_columns(raw: Path, n_samples: int) -> list[Labelled]:
    """Ours."""
    return [labelled for rows in read(raw, section(n_samples)).splits.values() for labelled in rows]


def row_of(labelled: Labelled) -> Row:
    sample = labelled.sample
    history = tuple((event.item_id.removeprefix("movie-"), event.liked) for event in sample.history)
    return sample.user_id, history, sample.target_item_id.removeprefix("movie-"), labelled.liked


OTHER_WAYS = {"lists": by_lists, "pandas": by_pandas}
WAYS = {"ours": by_columns, **OTHER_WAYS}


def run_stage(folder: Path, n_samples: int) -> dict[str, float]:
    """The stage `prepare` in `folder`."""
    os.chdir(folder)
    params = load_config(ROOT / "params.yaml").model_copy(update={"domains": {DOMAIN: section(n_samples)}})
    return measured(lambda: prepare(DOMAIN, params))


def measured(work: Any) -> dict[str, float]:
    """Seconds and peak of this process while `work` runs; the peak counts imports too."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Not ru_maxrss: a new process begins with that of its parent.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 2**20
    return {"wall": time.perf_counter() - start, "processor": processor, "peak_gib": peak}


def in_a_process(*arguments: object) -> dict[str, float]:
    """This script with `arguments` in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line a size, and one a way at the smallest size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 8_000_000, 32_000_000])
    parser.add_argument("--samples", type=int, default=10_000, help="rows kept, as n_samples")
    parser.add_argument("--folder", type=Path, help="where generated files are kept; default: a temporary folder")
    parser.add_argument("--repeats", type=int, default=3, help="of each way at the smallest size, the best counts")
    parser.add_argument("--stage", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING)
    if arguments.way:
        raw = arguments.stage / paths.raw_folder(DOMAIN)
        print(json.dumps(measured(lambda: WAYS[arguments.way](raw, arguments.samples))))
    elif arguments.stage:
        print(json.dumps(run_stage(arguments.stage, arguments.samples)))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            compare(arguments.folder or Path(temporary), arguments.rows, arguments.samples, arguments.repeats)


def compare(folder: Path, sizes: Sequence[int], n_samples: int, repeats: int) -> None:
    """Measure each size, then each way at the smallest."""
    seconds: list[float] = []
    for n_rows in sizes:
        raw = folder / str(n_rows) / paths.raw_folder(DOMAIN)
        if not raw.exists():
            generate(raw, n_rows)
        found = in_a_process("--stage", raw.parents[2], "--samples", n_samples)
        seconds.append(found["processor"])
        show = "{wall:6.2f} s, processor {processor:6.2f} s, peak {peak_gib:.2f} GiB".format(**found)
        print(f"prepare, {n_rows:>10,} ratings, {n_samples:,} samples: {show}", flush=True)
    first, last = min(sizes), max(sizes)
    grown = seconds[sizes.index(last)] / seconds[sizes.index(first)]
    print(
        f"growth from {first:,} to {last:,}: {grown:.1f} times the processor for {last / first:.1f} times the ratings"
    )
    n_rows = min(sizes)
    raw = folder / str(n_rows) / paths.raw_folder(DOMAIN)
    expected = [row_of(labelled) for labelled in by_columns(raw, n_samples)]
    for name, way in OTHER_WAYS.items():
        if way(raw, n_samples) != expected:
            raise SystemExit(f"{name}: the samples differ from ours")
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for name in WAYS:
            found = in_a_process("--stage", raw.parents[2], "--way", name, "--samples", n_samples)
            best[name] = min(best.get(name, found), found, key=lambda one: one["processor"])
    for name, found in best.items():
        faster = found["processor"] / best["ours"]["processor"]
        show = "wall {wall:6.2f} s, processor {processor:6.2f} s, peak {peak_gib:.2f} GiB".format(**found)
        print(f"{n_rows:,} ratings, equal samples, {name:6}: {show}, {faster:.1f} times ours")


if __name__ == "__main__":
    main()
