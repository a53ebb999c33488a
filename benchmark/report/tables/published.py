"""What others published, as tables: the numbers of the paper, independent runs of its code, and papers after it."""

from collections.abc import Sequence
from statistics import fmean, stdev

from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import DASH, MISSING, Entry, Row, Table, ends_of, points
from benchmark.report.tables.results import summary_entry, verdict_on
from benchmark.schema import LANGUAGE_MODELS, Cell
from benchmark.statistics.metrics import METRICS
from benchmark.verdicts.follow_ups import BIASES, FollowUps, Number, biases, load_follow_ups, named
from benchmark.verdicts.paper import STATUSES, Paper
from benchmark.verdicts.published import RESERVED, VERDICTS
from benchmark.verdicts.setting import has_the_papers_model

NOT_SAID = "not said"
FOLLOW_UP_METRICS = ("auc", "uauc")
ROLES = {
    "tallrec": "TALLRec, as published",
    "follow-up": "Published as better than TALLRec",
    "baseline": "Published beside them",
}
"""Headings of what is published on the rows of the papers after TALLRec."""


def verdict_counts(inputs: Inputs, paper: Paper) -> dict[str, dict[str, int]]:
    """How often each verdict was given, by status; a result that stands in several tables counts once.

    A verdict with reservation is counted as `<verdict> with reservation`, after the plain ones.
    """
    labels = [f"{verdict}{end}" for end in ("", f" {RESERVED}") for verdict in VERDICTS]
    found: dict[str, dict[str, int]] = {status: dict.fromkeys(labels, 0) for status in STATUSES}
    seen: set[tuple[Cell, float]] = set()
    for number in sorted(paper.numbers, key=lambda one: STATUSES.index(one.status)):
        if (number.group, number.auc) not in seen:
            seen.add((number.group, number.auc))
            found[number.status][verdict_on(inputs, paper, number).label] += 1
    return found


def published_table(inputs: Inputs, paper: Paper) -> Table:
    """Every published number with its source, ours, the verdict and what it rests on."""
    rows: list[Row] = []
    for number in paper.numbers:
        verdict = verdict_on(inputs, paper, number)
        is_ours = number.group.family not in LANGUAGE_MODELS or has_the_papers_model(inputs.params, paper)
        entries = (
            Entry(f"{number.train_domain} → {number.test_domain}"),
            Entry(str(number.n_shots)),
            Entry(points(number.auc), number.status),
            summary_entry(verdict.observed) if is_ours else Entry("not run"),
            Entry("", badge=verdict.label),
            Entry("; ".join([verdict.reason, *verdict.reservations])),
        )
        rows.append(Row(number.method, entries, f"{number.table}: {paper.sources[number.source]}"))
    columns = ("train → test", "K", "paper", "ours", "verdict", "why")
    return Table("published", "Every published number", columns, tuple(rows))


def independent_table(inputs: Inputs, paper: Paper) -> Table:
    """What others got for TALLRec, beside the paper's number and ours at the same K on the same domain."""
    published = {number.group: number for number in paper.numbers if number.table == "main"}
    rows: list[Row] = []
    for run in paper.independent_runs:
        group = Cell("tuned", f"tallrec-{run.domain}", run.domain, run.domain, run.n_shots or 0, 0)
        number, ours = published.get(group), inputs.groups.get(group)
        verdict = verdict_on(inputs, paper, number) if number else None
        is_comparable = run.repository.same_setting and verdict and verdict.verdict != "not comparable"
        entries = (
            Entry(NOT_SAID if run.n_shots is None else str(run.n_shots)),
            Entry(NOT_SAID if run.seed is None else str(run.seed)),
            Entry(points(run.auc)),
            Entry(points(number.auc) if number else ""),
            summary_entry(ours) if is_comparable else Entry(""),
            Entry(run.repository.trust, run.repository.note),
        )
        heading = f"{run.repository.address}: {run.repository.setting}"
        rows.append(Row(f"tallrec-{run.domain}", entries, heading))
    note = (
        "AUC of TALLRec from result files and issues of public repositories. Ours stands beside a run where both "
        "measure the same."
    )
    columns = ("K", "seed", "theirs", "paper", "ours", "trust")
    return Table("independent_runs", "Independent runs", columns, tuple(rows), note)


def follow_ups_table(inputs: Inputs, domain: str) -> Table:
    """Rules and recommenders of ours beside all that papers after TALLRec publish on the same rows."""
    known, n_train = load_follow_ups(), inputs.stats[domain]["splits"]["train"]["rows"]
    rows = [
        Row(group.method, _ours(inputs, group), "Run here")
        for group in inputs.groups
        if group.test_domain == domain and group.n_shots in (0, n_train)
    ]
    rule = biases(inputs.groups, domain)
    for role, heading in ROLES.items():
        for number in known.of_role(role):
            entries = (*(Entry(points(number.value(metric), 1)) for metric in FOLLOW_UP_METRICS),)
            entries += tuple(_rule_minus(inputs, rule, number, metric) for metric in FOLLOW_UP_METRICS)
            gains = [known.gain(number, metric) for metric in FOLLOW_UP_METRICS]
            entries += (Entry(DASH if None in gains else " / ".join(f"{100 * (gain or 0):+.1f}" for gain in gains)),)
            entries += (Entry(number.backbone or DASH), Entry(known.sources[number.source]))
            rows.append(Row(number.method, entries, heading, is_main=role == "tallrec"))
        if role == "tallrec":
            rows.append(Row("all runs of TALLRec", _all_runs(known), heading, is_main=True))
    columns = ("AUC", "UAUC", f"{BIASES} minus it, AUC", "UAUC", "over TALLRec of its table", "backbone", "source")
    keys = ("auc", "uauc", "biases_minus_auc", "biases_minus_uauc", "gain_auc_uauc", "backbone", "source")
    note = (
        "Trained on all training rows. Ours: mean over seeds, with the interval over users and seeds; published: one "
        "run, as its source has it. Rules on the share of likes are left out: histories hold likes alone here, so that "
        "they are constant. A dash as backbone: none, or the source at hand does not name it."
    )
    return Table(f"follow_ups_{domain}", f"Papers after TALLRec, {domain}", columns, tuple(rows), note, domain, keys)


def _ours(inputs: Inputs, group: Cell) -> tuple[Entry, ...]:
    confidence = inputs.params.evaluate.confidence
    found = (inputs.estimates.estimate(group, metric) for metric in FOLLOW_UP_METRICS)
    entries = tuple(
        Entry(MISSING) if one is None else Entry(points(one.value, 1), ends_of(one.interval_of_metric(confidence)))
        for one in found
    )
    return (*entries, *[Entry(DASH)] * 4, Entry("this run"))


def _rule_minus(inputs: Inputs, rule: Cell | None, number: Number, metric: str) -> Entry:
    """How far the rule lies above a published value."""
    ours = inputs.estimates.estimate(rule, metric) if rule else None
    return Entry(MISSING if ours is None else f"{100 * (ours.value - number.value(metric)):+.1f}")


def _all_runs(known: FollowUps) -> tuple[Entry, ...]:
    """Mean, lowest and highest of the runs of TALLRec, on how many backbones."""
    values = [known.reruns(metric) for metric in FOLLOW_UP_METRICS]
    of_runs = [
        Entry(points(fmean(v), 1), f"{points(min(v), 1)} to {points(max(v), 1)} · sd {points(stdev(v), 1)}")
        for v in values
    ]
    named = sorted({number.backbone for number in known.of_role("tallrec") if number.backbone})
    return (*of_runs, Entry(DASH), Entry(DASH), Entry(DASH), Entry(", ".join(named)), Entry(f"{len(values[0])} runs"))


def follow_up_findings(inputs: Inputs, domain: str) -> list[str]:
    """What the rules say of the published values, in sentences; none where the rule was not run."""
    known, rule = load_follow_ups(), biases(inputs.groups, domain)
    if rule is None:
        return []
    sentences = [
        f"On {domain}, {len(known.of_role('tallrec'))} published runs of TALLRec differ by "
        f"{points(known.range('auc'), 1)} points of AUC and {points(known.range('uauc'), 1)} of UAUC."
    ]
    for metric in FOLLOW_UP_METRICS:
        ours = inputs.estimates.estimate(rule, metric)
        if ours:
            sentences.append(_reached(known, ours.value, ours.margin(inputs.params.evaluate.confidence), metric))
    return sentences


def _reached(known: FollowUps, ours: float, margin: float | None, metric: str) -> str:
    """Which published values a rule without a model reaches, and which lie above it."""
    reached = [number for number in known.numbers if number.value(metric) <= ours]
    n_reruns, better = len(known.of_role("tallrec")), known.of_role("follow-up")
    n_reached = sum(number.role == "tallrec" for number in reached)
    below, above = _listed([n for n in better if n in reached]), _listed([n for n in better if n not in reached])
    said = points(ours, 1) + (f" ± {points(margin, 1)}" if margin is not None else "")
    return (
        f"The biases of user and item alone, without a model, have {METRICS[metric].title} {said}. That reaches "
        f"{n_reached} of {n_reruns} runs of TALLRec and {len(reached)} of all {len(known.numbers)} published values. "
        f"Of the methods that are published as better it reaches {below}, and stays below {above}."
    )


def _listed(numbers: Sequence[Number]) -> str:
    return ", ".join(map(named, numbers)) or "none"
