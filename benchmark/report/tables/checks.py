"""How far the numbers can be trusted, as tables: paired differences, calibration, the audit of the protocol."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.config.params import DomainParams
from benchmark.config.run_names import method_name
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import DASH, MISSING, Entry, Row, Table, points
from benchmark.statistics.comparisons import COMPARED, OTHERS, Difference, compare, table_pairs
from benchmark.statistics.metrics import METRICS
from benchmark.statistics.power import POWER, smallest_seen

UNKNOWN = "not known"


def difference_tables(inputs: Inputs, domain: str) -> list[Table]:
    """Each row of the main table against TALLRec and against the rule `liked_share`, on the same users, by metric."""
    complete = [group for group, summary in inputs.groups.items() if summary and summary.is_complete]
    pairs = [pair for pair in table_pairs(complete) if pair.left.test_domain == domain]
    found = compare(inputs.estimates, pairs)
    of_metric = {metric: [one for one in found if one.pair.metric == metric] for metric in COMPARED}
    return [_difference_table(inputs, domain, metric, of_metric[metric]) for metric in COMPARED if of_metric[metric]]


def _difference_table(inputs: Inputs, domain: str, metric: str, differences: Sequence[Difference]) -> Table:
    shots, confidence = inputs.params.grid.n_shots, inputs.params.evaluate.confidence
    tallrec = f"{method_name(inputs.params, f'tallrec-{domain}', domain)} minus it"
    found: dict[tuple[str, str], dict[tuple[str, int], Entry]] = defaultdict(dict)
    for difference in differences:
        left, right = difference.pair.left, difference.pair.right
        entry = _difference_entry(difference, confidence)
        if left.method == f"tallrec-{domain}" and right.family in OTHERS:
            found[right.family, right.method][tallrec, left.n_shots] = entry
        if right.method == "liked_share" and left.family in ("baseline", "external"):
            for n_shots in (left.n_shots,) if left.n_shots else shots:
                found[left.family, left.method]["it minus liked_share", n_shots] = entry
    places = [(what, n_shots) for what in (tallrec, "it minus liked_share") for n_shots in shots]
    rows = [
        Row(method, tuple(entries.get(place, Entry(DASH)) for place in places), family)
        for (family, method), entries in sorted(found.items())
    ]
    columns = tuple(f"{what}, K={n_shots}" for what, n_shots in places)
    title = METRICS[metric].title
    note = (
        f"Difference of the mean {title}, times 100, and its margin over users and seeds; p is corrected (max-T) for "
        "all differences of this metric and test domain in results/differences.csv."
    )
    seen = [100 * smallest_seen(one.estimate.spread, confidence) for one in differences if one.estimate.spread]
    if seen:
        note += f" Seen in {POWER:.0%} of runs: a true {min(seen):.1f} at best, a true {max(seen):.1f} at worst."
    name = f"differences_{domain}" if metric == "auc" else f"differences_{metric}_{domain}"
    return Table(name, f"Paired differences of {title}, {domain}", columns, tuple(rows), note, domain)


def _difference_entry(found: Difference, confidence: float) -> Entry:
    margin = found.estimate.margin(confidence)
    if margin is None or found.p_adjusted is None:
        return Entry(f"{100 * found.estimate.value:+.1f}", found.estimate.why_unknown)
    p = "p < 0.001" if found.p_adjusted < 0.001 else f"p {found.p_adjusted:.3f}"
    return Entry(f"{100 * found.estimate.value:+.1f}", f"± {100 * margin:.1f} · {p}")


def calibration_table(inputs: Inputs, domain: str) -> Table:
    """Log-loss and calibration error of the methods whose scores are probabilities, at their largest K."""
    largest = max(inputs.params.grid.n_shots)
    groups: dict[tuple[str, str, str, str], list[Mapping[str, str]]] = defaultdict(list)
    for line in inputs.calibration:
        if line["test_domain"] == domain and int(line["n_shots"]) in (0, largest):
            groups[line["family"], line["method"], line["n_shots"], line["probability"]].append(line)
    rows: list[Row] = []
    for (family, method, _, probability), lines in groups.items():
        losses = [float(line["log_loss"]) for line in lines if line["log_loss"]]
        loss = f"{statistics.fmean(losses):.3f}" if len(losses) == len(lines) else "infinite"
        error = points(statistics.fmean(float(line["expected_calibration_error"]) for line in lines), 1)
        rows.append(
            Row(method_name(inputs.params, method, domain), (Entry(loss), Entry(error), Entry(probability)), family)
        )
    note = (
        f"K = {largest}, or none. Natural logarithm; calibration error over ten bins, in points. The released score of "
        "a language model is no probability; fidelity.scoring = logit_difference gives one."
    )
    audited = inputs.audits.get(domain)
    if audited:
        rate: float = audited["splits"]["test"]["like_rate"]
        entropy = -sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)
        note += f" A constant at the like rate of the test set has a log-loss of {entropy:.3f}."
    columns = ("log-loss", "calibration error", "probability")
    return Table(f"calibration_{domain}", f"Calibration, {domain}", columns, tuple(rows), note, domain)


def audit_table(inputs: Inputs) -> Table:
    """What the splits share, how test rows hang together, and how many labels a K-shot result uses."""
    facts = {domain: _facts(audited) for domain, audited in inputs.audits.items()}
    names = list(dict.fromkeys(name for of_domain in facts.values() for name in of_domain))
    rows = [
        Row(name, tuple(Entry(of_domain.get((group, name), MISSING)) for of_domain in facts.values()), group)
        for group, name in names
    ]
    implicit = [name for name in facts if _has_zeros(inputs.params.domains[name])]
    note = (
        f"On {' and '.join(implicit)} zeros are dislikes: they say that a user took an item, not how they liked it. "
        "So a rule that counts likes may read who rates explicitly, and not who likes more."
    )
    return Table("audit", "The protocol, audited", tuple(facts), tuple(rows), note if implicit else "")


def _has_zeros(domain: DomainParams) -> bool:
    """Whether implicit ratings are dislikes: in the released files of book, and where a raw dump is read so."""
    return domain.format.startswith("released-") or getattr(domain, "zero_ratings", "") == "dislike"


def _facts(audited: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The findings on a domain by heading and name."""
    splits: Mapping[str, Mapping[str, Any]] = audited["splits"]
    times: Mapping[str, Sequence[str]] | None = audited["target_times"]
    is_later: bool | None = audited["test_is_later_than_training"]
    n_revealing = audited["adjacent_test_rows_that_reveal_a_label"]
    sized, shared, seen = "Splits", "Shared by two splits", "Test targets that were ever a training target"
    told, chosen, timed = "Rows that hang together", "Labels to choose a checkpoint, beside K", "Time of targets"
    return {
        **{(sized, name): f"{split['users']} users, {split['rows']} rows" for name, split in splits.items()},
        (sized, "most test rows of one user"): str(splits["test"]["most_rows_of_a_user"]),
        **{(shared, p): f"{both['users']} users, {both['rows']} rows" for p, both in audited["overlap"].items()},
        **{
            (seen, name): f"{100 * share:.2f} %"
            for name, share in audited["test_targets_ever_a_training_target"].items()
        },
        (told, "neighbouring rows, the first one's answer in the second's history"): (
            f"{n_revealing} of {audited['adjacent_test_rows']}"
        ),
        (told, "rows, their answer in another history of the same user"): (
            f"{audited['test_labels_in_a_test_history']} of {splits['test']['rows']}"
        ),
        **{(chosen, side): str(n) for side, n in audited["labels_to_choose_a_checkpoint"].items()},
        **{(timed, name): " to ".join(times[name]) if times else UNKNOWN for name in splits},
        (timed, "test is later than training"): UNKNOWN if is_later is None else "yes" if is_later else "no",
    }
