"""`results/metrics.csv`: one row a cell, and the rows of all seeds brought together; the columns of `estimates.csv`."""

import csv
import io
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from benchmark.artifacts.files import require, write_bytes
from benchmark.errors import SchemaError, refuse_other_text
from benchmark.schema import Cell, group_of
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.metrics import OTHERS

GROUP_COLUMNS = ("family", "method", "train_domain", "test_domain", "n_shots")
"""Key of what is told of all seeds of a method together."""
KEY_COLUMNS = (*GROUP_COLUMNS, "seed")
FIRST_COLUMNS = (*KEY_COLUMNS, "auc", "auc_low", "auc_high")
LAST_COLUMNS = ("n_users", "n_samples", "status")
SHARE_CORRELATION = "share_correlation"
"""What a score is made of, in [-1, 1]; no metric, since neither end is better. Earlier runs have no such column."""
BETWEEN = (*OTHERS, SHARE_CORRELATION)
COLUMNS = (*FIRST_COLUMNS, *BETWEEN, *LAST_COLUMNS)
STATUSES = ("ok", "missing", "invalid")
CHANCE = 0.5

ESTIMATES_CSV = Path("results/estimates.csv")
ESTIMATES_COLUMNS = (
    *GROUP_COLUMNS,
    *("metric", "value", "low", "high", "standard_error", "dof", "why_no_interval"),
    *("n_seeds", "n_seeds_of_grid", "seed_sd", "median", "n_seeds_below_half"),
)


@dataclass(frozen=True, slots=True)
class MetricRow:
    """The result of one cell."""

    cell: Cell
    status: str
    """`ok`; `missing`: there are no predictions; `invalid`: there are, and they break the contract."""
    auc: float | None = None
    auc_low: float | None = None
    """Interval over users alone, at the confidence of `evaluate.confidence`; `estimates.csv` has it over seeds too."""
    auc_high: float | None = None
    others: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """By name of its column, what stands in `BETWEEN`; None where one is not defined."""
    n_users: int | None = None
    n_samples: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """One entry of a table: the cells that differ by the seed alone."""

    cell: Cell
    """Of the first seed."""
    n_seeds: int
    """Seeds that were run."""
    n_expected: int
    """Seeds of the grid."""
    auc: float
    """Mean over the seeds that were run."""
    aucs: tuple[float, ...]
    """AUC of each seed that was run."""
    others: Mapping[str, tuple[float, ...]]
    """Each other metric by name, of each seed that was run; empty where it is not defined for one of them."""
    n_users: int
    n_samples: int
    interval: tuple[float, float] | None = None
    """Of the AUC, over users and seeds; None where nothing tells."""
    margin: float | None = None
    """Half-width of the interval before it was cut to [0, 1]."""
    why_no_interval: str = ""

    @property
    def n_below_chance(self) -> int:
        """Seeds whose AUC is below one half: a draw may fail, and a mean hides it."""
        return sum(auc < CHANCE for auc in self.aucs)

    @property
    def seed_sd(self) -> float | None:
        """Standard deviation of the AUC over seeds (ddof 1); None with fewer than two."""
        return statistics.stdev(self.aucs) if self.n_seeds > 1 else None

    @property
    def is_complete(self) -> bool:
        """Whether every seed of the grid was run."""
        return self.n_seeds == self.n_expected

    @property
    def seeds_said(self) -> str:
        """How many seeds were run, as `2 of 5 seeds`; empty where all were."""
        return "" if self.is_complete else f"{self.n_seeds} of {self.n_expected} seeds"

    def values(self, metric: str) -> tuple[float, ...]:
        """A metric (`auc`, or one of `others`) of each seed that was run; empty where it is not defined."""
        return self.aucs if metric == "auc" else self.others.get(metric, ())

    def mean(self, metric: str) -> float | None:
        """The mean of `values`; None where there are none."""
        values = self.values(metric)
        return statistics.fmean(values) if values else None


def summarise(
    rows: Iterable[MetricRow], estimates: Estimates | None = None, confidence: float = 0.95
) -> dict[Cell, Summary | None]:
    """Rows by `group_of`, in row order; None where no seed was run.

    Args:
        rows: of the cells.
        estimates: of the groups, for the intervals; None: there are none.
        confidence: of the intervals, in (0, 1).
    """
    groups: dict[Cell, list[MetricRow]] = defaultdict(list)
    for row in rows:
        groups[group_of(row.cell)].append(row)
    found = {key: _summary(members) for key, members in groups.items()}
    if estimates is None:
        return found
    return {key: _with_interval(summary, estimates, confidence) if summary else None for key, summary in found.items()}


def _with_interval(summary: Summary, estimates: Estimates, confidence: float) -> Summary:
    estimate = estimates.estimate(group_of(summary.cell))
    if estimate is None:
        return summary
    return replace(
        summary,
        interval=estimate.interval_of_metric(confidence),
        margin=estimate.margin(confidence),
        why_no_interval=estimate.why_unknown,
    )


def _summary(rows: Sequence[MetricRow]) -> Summary | None:
    run = [row for row in rows if row.status == "ok"]
    if not run:
        return None
    aucs = _numbers(row.auc for row in run)
    others = {name: _numbers(row.others.get(name) for row in run) for name in run[0].others}
    return Summary(
        cell=run[0].cell,
        n_seeds=len(run),
        n_expected=len(rows),
        auc=statistics.fmean(aucs),
        aucs=aucs,
        others={name: values if len(values) == len(run) else () for name, values in others.items()},
        n_users=int(run[0].n_users or 0),
        n_samples=int(run[0].n_samples or 0),
    )


def _numbers(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV table: None is empty, a float is its shortest decimal that reads back to the same float."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if value is None else repr(value) if isinstance(value, float) else value for value in row])
    return stream.getvalue().encode()


def write_rows(path: Path, rows: Iterable[MetricRow]) -> None:
    """Write `results/metrics.csv`, in the order given."""
    lines = [
        (
            *astuple(row.cell),
            row.auc,
            row.auc_low,
            row.auc_high,
            *(row.others.get(name) for name in BETWEEN),
            row.n_users,
            row.n_samples,
            row.status,
        )
        for row in rows
    ]
    write_bytes(path, csv_bytes(COLUMNS, lines))


def read_rows(path: Path) -> list[MetricRow]:
    """Read what `write_rows` wrote.

    Raises:
        MissingArtifactError: the file is not there.
        DataError: it is packed, a pointer of git LFS, or in UTF-16.
        SchemaError: a column is missing, a value is malformed, or a cell stands twice; the message names the row.
    """
    refuse_other_text(path)
    try:
        text = require(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path}: not UTF-8 text: {error}") from None
    return parse_rows(text, str(path))


def parse_rows(text: str, name: str) -> list[MetricRow]:
    """The rows of a `metrics.csv`, called `name` in messages. Another revision may have other metrics beside AUC.

    Raises:
        SchemaError: as `read_rows`.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restkey="")
    columns = tuple(reader.fieldnames or ())
    others = columns[len(FIRST_COLUMNS) : -len(LAST_COLUMNS)]
    if columns != (*FIRST_COLUMNS, *others, *LAST_COLUMNS) or len(set(columns)) < len(columns):
        expected = f"expected the columns {', '.join(COLUMNS)}, or others between auc_high and n_users"
        raise SchemaError(f"{name}: {expected}; got {text.partition(chr(10))[0]!r:.80}")
    rows: list[MetricRow] = []
    try:
        for line in reader:
            rows.append(_row_of(line, others))
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        raise SchemaError(f"{name}: line {reader.line_num}: {error}") from None
    again = [cell for cell, n in Counter(row.cell for row in rows).items() if n > 1]
    if again:  # it would count as another seed
        raise SchemaError(f"{name}: {again[0]} stands twice")
    return rows


def _row_of(line: Mapping[str, str], others: Sequence[str]) -> MetricRow:
    if "" in line:
        raise ValueError(f"expected {len(FIRST_COLUMNS) + len(others) + len(LAST_COLUMNS)} values, got more")
    family, method, train_domain, test_domain = (line[name] for name in KEY_COLUMNS[:4])
    cell = Cell(family, method, train_domain, test_domain, int(line["n_shots"]), int(line["seed"]))
    if line["status"] not in STATUSES:
        raise ValueError(f"status {line['status']!r} is none of {', '.join(STATUSES)}")
    auc, low, high = (float(line[name]) if line[name] else None for name in FIRST_COLUMNS[6:])
    beside = {name: float(line[name]) if line[name] else None for name in others}
    n_users, n_samples = (int(line[name]) if line[name] else None for name in LAST_COLUMNS[:2])
    row = MetricRow(cell, line["status"], auc, low, high, beside, n_users, n_samples)
    required = (auc, n_users, n_samples)
    defined = [value for value in beside.values() if value is not None]
    ends = [end for end in (low, high) if end is not None]
    if row.status == "ok" and not all(
        value is not None and math.isfinite(value) for value in (*required, *defined, *ends)
    ):
        raise ValueError("status ok, but a number is missing or not finite")
    if auc is not None and not 0 <= auc <= 1:
        raise ValueError(f"auc {auc:g}, expected 0 to 1; a percentage?")
    if row.status != "ok" and (defined or ends or any(value is not None for value in required)):
        raise ValueError(f"status {row.status}, but there are numbers")
    return row
