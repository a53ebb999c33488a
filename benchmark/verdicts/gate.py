"""The regression gate: is any method worse than in another run, by more than noise explains?

Methods are compared by their means over seeds, by AUC and UAUC: over the seeds of the reference where this run has them
all, else over the seeds of each. What is the same to the last digit has no noise and needs no test. What is not, is
tested twice:

- each method, at half of alpha over the number of methods and metrics that changed (Bonferroni);
- the mean change of each family on each test set, at the other half: a bug costs all methods a little.

Where nothing but noise changed, at most a share alpha of all checks turns red. `gate_noise` says what noise is. A
change at the same seeds that noise explains is told all the same, with the drop that would have been red.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.errors import ConfigError, MissingArtifactError, SchemaError
from benchmark.schema import Cell, group_of
from benchmark.statistics.estimates import INFLUENCE, Known
from benchmark.statistics.results import MetricRow
from benchmark.statistics.uncertainty import Spread, joined, margin
from benchmark.verdicts.compared_run import Run, named_run, read_run
from benchmark.verdicts.gate_noise import Change, over_seeds_of, over_seeds_of_mean, over_users_of, pools

METRICS = ("auc", "uauc")
FAILURES = ("regression", "missing")
"""Verdicts that turn the check red."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison."""

    name: str
    """Of the method, its domains and K; or of a family on a test set."""
    metric: str
    verdict: str
    """`same`: to the last digit; `changed`: at the same seeds, within noise; `within noise`: at other seeds; `better`,
    `regression`, `missing` (in the reference, not in this run), `new` or `not comparable`."""
    n_seeds: int = 0
    """Seeds of the reference that `before` is the mean of; of a family, 0."""
    before: float | None = None
    """The metric in the reference."""
    after: float | None = None
    tolerance: float | None = None
    """The largest drop that noise explains: a larger one would be red."""
    interval: str = ""
    """`paired`: users compared one by one; `independent`: as if they were others."""
    reason: str = ""


def check(against: str, *, alpha: float, folder: Path = Path()) -> tuple[Run, Run, list[Finding]]:
    """Compare the results of a run with those of `against`; both are returned, the reference first.

    Args:
        against: as `named_run`.
        alpha: as `compare`, in (0, 0.5).
        folder: where the results/ of the run lie.

    Raises:
        ConfigError: `alpha` is out of its range.
        MissingArtifactError: the results of one side are not there.
        SchemaError: results are malformed.
    """
    if not 0 < alpha < 0.5:
        raise ConfigError(f"--alpha: expected a rate above 0 and below 0.5, got {alpha:g}")
    before, after = named_run(against, folder), read_run(folder / METRICS_CSV, folder / INFLUENCE)
    if not any(row.status == "ok" for row in before.rows):
        raise SchemaError(f"{before.name}: no cell with the status ok, so that nothing could turn the check red")
    return before, after, compare(before, after, alpha=alpha)


def differences(first: Run, second: Run, *, confidence: float) -> list[Finding]:
    """As `compare`, where neither run is the reference: a change up or down, and one run may have fewer seeds.

    Args:
        first: `before` of the findings.
        second: `after` of the findings.
        confidence: that the margins (`tolerance`) hold all together, in (0, 1).

    Raises:
        MissingArtifactError: no run has influences, without which nothing tells the noise of users.
    """
    if not (first.estimates.known or second.estimates.known):
        raise MissingArtifactError(f"no {INFLUENCE.name} beside either metrics.csv, and it tells the noise of users")
    # Two one-sided tests, each at half of what may go wrong.
    return compare(first, second, alpha=(1 - confidence) / 2, needs_seeds=False)


def compare(before: Run, after: Run, *, alpha: float, needs_seeds: bool = True) -> list[Finding]:
    """A finding for each method of the reference and metric, in its order, then for families, then for what is new.

    Args:
        before: the reference.
        after: this run.
        alpha: share of checks that may turn red by noise alone, in (0, 0.5).
        needs_seeds: whether a method with fewer seeds than before is missing.
    """
    old, new = _by_group(before.rows), _by_group(after.rows)
    known = {**before.estimates.known, **after.estimates.known}
    found: list[Finding | Change] = []
    for group, rows in old.items():
        found += _changes(group, _run(rows), new.get(group, []), known, needs_seeds=needs_seeds)
    changes = [item for item in found if isinstance(item, Change)]
    users = {change: over_users_of([change], before, after) for change in changes}
    pooled = pools(changes)
    seeds = {change: spread for change in changes if (spread := over_seeds_of(change, pooled))}
    tested = [change for change in changes if users[change][0] and change in seeds]
    families = {key: members for key, members in _families(tested).items() if len(members) > 1}
    share = alpha / 2 if families else alpha
    findings: list[Finding] = []
    for item in found:
        if isinstance(item, Change):
            spreads = users[item][0], seeds.get(item)
            findings.append(_decided([item], spreads, users[item][1], share / max(1, len(tested))))
        else:
            findings.append(item)
    for members in families.values():
        of_users, interval = over_users_of(members, before, after)
        of_seeds = over_seeds_of_mean(members, [seeds[change] for change in members])
        findings.append(_decided(members, (of_users, of_seeds), interval, share / len(families)))
    for group, rows in new.items():
        added = [row.auc for row in _run(rows).values() if row.auc is not None]
        if added and not _run(old.get(group, [])):
            findings.append(Finding(name_of(group), "auc", "new", len(added), after=statistics.fmean(added)))
    return findings


def _changes(
    group: Cell,
    old: Mapping[int, MetricRow],
    new: Sequence[MetricRow],
    known: Mapping[tuple[Cell, str], Known],
    *,
    needs_seeds: bool,
) -> Iterator[Finding | Change]:
    """What there is to say of one group: a finding where nothing needs a test."""
    now = _run(new)
    if (one := known.get((group, "auc"))) and not one.is_seeded:
        now = dict(zip(old, now.values(), strict=False))  # every seed gives this value, whatever the row is called
    has_same_seeds = old.keys() <= now.keys() or (not needs_seeds and now.keys() <= old.keys())
    n_expected = max(len(old), len(new))
    is_lost = needs_seeds and not has_same_seeds and len(now) < n_expected
    for metric in METRICS[:1] if is_lost else METRICS:
        was, values = _values(old, metric), _values(now, metric)
        if not was:
            continue
        if has_same_seeds and values:
            was, values = ({seed: side[seed] for seed in was.keys() & values.keys()} for side in (was, values))
        before = statistics.fmean(was.values())
        if is_lost:
            reason = f"{len(now)} of {n_expected} seeds" if now else ""
            yield Finding(name_of(group), metric, "missing", len(was), before, reason=reason)
        elif not values:
            yield Finding(name_of(group), metric, "missing", len(was), before)
        elif was == values:
            yield Finding(name_of(group), metric, "same", len(was), before, before)
        else:
            shifts = {seed: values[seed] - value for seed, value in was.items()} if has_same_seeds else None
            is_seeded = (group, metric) not in known or known[group, metric].is_seeded
            yield Change(
                group,
                metric,
                before,
                statistics.fmean(values.values()),
                (shifts,) if shifts else (was, values),
                is_seeded,
            )


def _decided(changes: Sequence[Change], spreads: Sequence[Spread | None], interval: str, level: float) -> Finding:
    """The verdict on one change, or on the mean of several, from the noise of users and of seeds."""
    first, n = changes[0], len(changes)
    name, n_seeds = name_of(first.group), len(first.parts[0])
    if n > 1:
        name, n_seeds = f"mean of {n} of {first.group.family} on {first.group.test_domain}", 0
    before, after = (statistics.fmean(values) for values in ([c.before for c in changes], [c.after for c in changes]))
    known = [spread for spread in spreads if spread]
    if len(known) < len(spreads):
        reason = "too few users" if spreads[0] is None else "other seeds, of which one run has one alone"
        return Finding(name, first.metric, "not comparable", n_seeds, before, after, reason=reason)
    # A one-sided bound at `level` is the end of a two-sided interval of confidence 1 - 2 level.
    tolerance = margin(joined([spread for spread in known if spread.variance] or known), 1 - 2 * level)
    verdict = "changed" if all(change.has_same_seeds for change in changes) else "within noise"
    if abs(after - before) > tolerance:
        verdict = "regression" if after < before else "better"
    return Finding(name, first.metric, verdict, n_seeds, before, after, tolerance, interval)


def name_of(group: Cell) -> str:
    """What a group is called in the findings."""
    return str(group).removesuffix(f" seed{group.seed}")


def _families(changes: Iterable[Change]) -> dict[tuple[str, str, str], list[Change]]:
    found: dict[tuple[str, str, str], list[Change]] = defaultdict(list)
    for change in changes:
        found[change.group.family, change.group.test_domain, change.metric].append(change)
    return found


def _by_group(rows: Iterable[MetricRow]) -> dict[Cell, list[MetricRow]]:
    found: dict[Cell, list[MetricRow]] = defaultdict(list)
    for row in rows:
        found[group_of(row.cell)].append(row)
    return found


def _run(rows: Iterable[MetricRow]) -> dict[int, MetricRow]:
    """The seeds of a group that were run."""
    return {row.cell.seed: row for row in rows if row.status == "ok"}


def _values(rows: Mapping[int, MetricRow], metric: str) -> dict[int, float]:
    """A metric by seed; empty where one seed does not have it."""
    values = {seed: row.auc if metric == "auc" else row.others.get(metric) for seed, row in rows.items()}
    known = {seed: value for seed, value in values.items() if value is not None}
    return known if len(known) == len(values) else {}
