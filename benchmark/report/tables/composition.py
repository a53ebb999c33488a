"""What stands beside an AUC, as tables: other metrics, rank correlations, single users, seen targets."""

from collections.abc import Mapping

from benchmark.config.run_names import method_name
from benchmark.report.inputs import Inputs, group_in
from benchmark.report.tables.form import DASH, MISSING, NO_VALUE, Entry, Row, Table, points
from benchmark.report.tables.results import OTHER_TITLES, other_entries, summary_entry
from benchmark.schema import Cell
from benchmark.statistics.metrics import METRICS, OTHERS


def within_user_table(inputs: Inputs, domain: str) -> Table:
    """AUC and every other metric of every method at its largest K of the grid."""
    largest = max(inputs.params.grid.n_shots)
    rows: list[Row] = []
    for group, summary in inputs.groups.items():
        if group.test_domain == domain and group.n_shots in (largest, 0):
            entries = (Entry(str(group.n_shots)), summary_entry(summary), *other_entries(inputs, group))
            name, is_main = method_name(inputs.params, group.method, domain), group.method == f"tallrec-{domain}"
            rows.append(Row(name, entries, group.family, is_main, summary is not None))
    title = f"Beside AUC, {domain}"
    note = " ".join(f"{METRICS[name].title}: {METRICS[name].meaning}." for name in OTHERS)
    return Table(f"within_users_{domain}", title, ("K", "AUC", *OTHER_TITLES), tuple(rows), note, domain)


def correlation_table(inputs: Inputs, domain: str) -> Table:
    """Spearman's rank correlation of the scores of each method at its largest K with those of each rule."""
    found: dict[Cell, dict[str, Entry]] = {}
    for line in inputs.correlations:
        group = group_in(line)
        if _is_shown(inputs, group, domain):
            value = line["rank_correlation"]
            entry = Entry(f"{float(value):+.2f}", shade=abs(float(value))) if value else Entry(NO_VALUE)
            found.setdefault(group, {})[line["rule"]] = entry
    rules = list(dict.fromkeys(rule for entries in found.values() for rule in entries))
    rows = [
        Row(
            method_name(inputs.params, group.method, domain),
            (Entry(str(group.n_shots)), *(of.get(rule, Entry(MISSING)) for rule in rules)),
            group.family,
        )
        for group, of in found.items()
    ]
    note = (
        "Spearman's rank correlation with the scores of each rule on the same test rows, mean over seeds; a rule that "
        "learns has seen all training rows. Near +1 or -1 a score orders rows as the rule does, whatever it is made of."
    )
    title = f"What a score is made of, {domain}"
    return Table(f"correlations_{domain}", title, ("K", *rules), tuple(rows), note, domain)


def sensitivity_table(inputs: Inputs, domain: str) -> Table:
    """The AUC of each method at its largest K without any one user, and on targets seen and unseen in training."""
    rows: list[Row] = []
    for line in inputs.sensitivity:
        group = group_in(line)
        if _is_shown(inputs, group, domain):
            low, high = line["lowest_without_a_user"], line["highest_without_a_user"]
            ends = f"{points(float(low), 1)} to {points(float(high), 1)}" if low else NO_VALUE
            entries = (Entry(str(group.n_shots)), summary_entry(inputs.groups.get(group)), Entry(ends))
            rows.append(Row(method_name(inputs.params, group.method, domain), (*entries, *_seen(line)), group.family))
    note = (
        "Without one user: the lowest and the highest AUC when any one test user is left out, mean over seeds. Seen: "
        "test rows whose target stands in the training rows of the method, as a target or in a history."
    )
    columns = ("K", "AUC", "without one user", "rows seen", "AUC seen", "AUC unseen")
    return Table(
        f"sensitivity_{domain}", f"Single users and seen targets, {domain}", columns, tuple(rows), note, domain
    )


def _seen(line: Mapping[str, str]) -> tuple[Entry, Entry, Entry]:
    if not line["share_seen"]:
        return Entry(DASH), Entry(DASH), Entry(DASH)
    values = (line["auc_seen"], line["auc_unseen"])
    parts = (Entry(points(float(value), 1)) if value else Entry(NO_VALUE) for value in values)
    seen, unseen = parts
    return Entry(f"{float(line['share_seen']):.1%}"), seen, unseen


def _is_shown(inputs: Inputs, group: Cell, domain: str) -> bool:
    return group.test_domain == domain and group.n_shots in (max(inputs.params.grid.n_shots), 0)
