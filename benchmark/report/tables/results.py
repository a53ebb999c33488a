"""What a table says of a result: its value, its interval, the verdict on it, and what is behind it."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.artifacts.paths import cell_folder
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import MISSING, NO_VALUE, Entry, ends_of, points
from benchmark.schema import Cell, domain_of, group_of, model_and_prompt
from benchmark.statistics.metrics import METRICS, OTHERS
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import Paper, PaperNumber
from benchmark.verdicts.published import Verdict, judge, reservations, why_not_comparable

FAR_ABOVE_CHANCE = 0.6
"""Where one seed gets there and another stays below one half, draws fail, and the mean hides it."""
OTHER_TITLES = tuple(METRICS[name].title for name in OTHERS)


def summary_entry(summary: Summary | None) -> Entry:
    """Mean AUC, its interval over users and seeds, the seeds' deviation, and how many are missing or failed."""
    if summary is None:
        return Entry(MISSING)
    parts = [ends_of(summary.interval) or summary.why_no_interval]
    if summary.seed_sd is not None:
        parts.append(f"sd {points(summary.seed_sd, 1)}")
    if summary.seeds_said:
        parts.append(summary.seeds_said)
    if summary.n_below_chance and max(summary.aucs) > FAR_ABOVE_CHANCE:
        median = points(statistics.median(summary.aucs), 1)
        parts.append(f"median {median}, {summary.n_below_chance} of {summary.n_seeds} below chance")
    return Entry(points(summary.auc), " · ".join(parts))


def other_entries(inputs: Inputs, group: Cell) -> tuple[Entry, ...]:
    """The mean of every metric beside AUC, with its interval over users and seeds."""
    return tuple(other_entry(inputs, group, metric) for metric in OTHERS)


def other_entry(inputs: Inputs, group: Cell, metric: str) -> Entry:
    """The mean of one metric, with its interval over users and seeds."""
    summary = inputs.groups.get(group)
    if summary is None:
        return Entry(MISSING)
    mean = summary.mean(metric)
    if mean is None:
        return Entry(NO_VALUE)
    estimate = inputs.estimates.estimate(group, metric)
    if estimate is None:
        return Entry(points(mean))
    return Entry(
        points(mean), ends_of(estimate.interval_of_metric(inputs.params.evaluate.confidence)) or estimate.why_unknown
    )


def verdict_on(inputs: Inputs, paper: Paper, number: PaperNumber) -> Verdict:
    """The verdict on one published number."""
    return judge(
        number,
        inputs.groups,
        inputs.estimates,
        why_not_comparable(number, inputs.params, paper, inputs.test_rows),
        reservations(number, inputs.params, inputs.stand_ins),
    )


def behind(inputs: Inputs, groups: Sequence[Cell]) -> Iterator[tuple[str, str]]:
    """What a row unfolds: seeds, files, command, and the score of the example; nothing of a method that was not run."""
    known = {group: summary for group in groups if (summary := inputs.groups.get(group))}
    for group, summary in known.items():
        if summary.n_expected > 1:
            yield f"seeds{_at(group)}", ", ".join(points(auc, 1) for auc in summary.aucs)
    scores = inputs.examples.get(groups[0].test_domain, {}).get("scores", {})
    if found := [f"{scores[str(group)]:.4g}{_at(group)}" for group in known if str(group) in scores]:
        yield "score of the first sample", "; ".join(found)
    for first in [*known][:1]:
        folder = cell_folder("predictions", first).parent
        yield "predictions", f"{folder.with_name('k*') if len(known) > 1 else folder}/seed*/scores.parquet"
        yield (
            "command",
            next((inputs.commands[cell] for cell in inputs.commands if group_of(cell) == first), _command(first)),
        )


def _at(group: Cell) -> str:
    return f", K = {group.n_shots}" if group.n_shots else ""


def _command(cell: Cell) -> str:
    """The stage that writes a cell, where DVC did not run it."""
    domain, model = domain_of(cell.test_domain), cell.method.split("-")[0]
    shots = f"--n-shots {cell.n_shots} --seed {cell.seed}"
    asked, prompt = model_and_prompt(cell.method)
    asks = "icl" if asked in ("base", "alpaca") else "others"
    stage = {
        "control": f"controls --domain {domain}",
        "baseline": f"baselines --baseline {model} --domain {domain}",
        "icl": f"{asks} --model {asked} --prompt {prompt}",
        "tuned": f"score --recipe {model} --train-domain {cell.train_domain}",
        "external": f"external --name {cell.method} --test-domain {cell.test_domain} {shots}",
    }
    return f"python -m benchmark.stages.{stage[cell.family]}"


def untrained_or(inputs: Inputs, group: Cell) -> Cell:
    """A method that does not learn has one result, which stands for every K."""
    untrained = replace(group, n_shots=0)
    return untrained if untrained in inputs.groups else group
