"""The rows of the leaderboard: every method of every entry on every test set, at its largest K."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.config.run_names import PAPERS_MODEL, method_of
from benchmark.methods.controls import CONTROLS
from benchmark.report.leaderboard.entry import Entry
from benchmark.report.tables.form import DASH, Row, Table, points
from benchmark.report.tables.form import Entry as Value
from benchmark.schema import Cell, domain_of, group_of
from benchmark.statistics.estimates import Estimate, Estimates
from benchmark.verdicts.paper import Paper

COLUMNS = ("K", "seeds", "AUC", "at equal share", "within users", "over the best rule", "time", "run")
HEADINGS = {
    **{"control": "rules", "baseline": "recommenders", "icl": "in context", "tuned": "tuned"},
    **{"external": "from elsewhere", "paper": "published"},
}


def tables(entries: Sequence[Entry], paper: Paper) -> list[Table]:
    """A table a test set, the best AUC first; entries that call other rows by the same name have one of their own.

    The paper's domains come first, and generated rows last.
    """
    found: list[Table] = []
    rows_of = {item: [one for one in entries if item in one.test_rows.items()] for item in _test_rows(entries)}
    for name, digest in sorted(rows_of, key=lambda item: _order(item[0], rows_of[item][0], paper)):
        n_before = sum(table.domain == name for table in found)
        place = f"{name}-{n_before + 1}" if n_before else name
        found.append(_table(place, name, rows_of[name, digest], paper))
    return found


def _test_rows(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Names of test sets, each with the digest of its rows, in the order of the entries."""
    return list(dict.fromkeys(item for entry in entries for item in entry.test_rows.items()))


def _order(test_domain: str, entry: Entry, paper: Paper) -> tuple[bool, bool]:
    return entry.is_generated(test_domain), domain_of(test_domain) not in paper.test_rows


def _table(place: str, test_domain: str, entries: Sequence[Entry], paper: Paper) -> Table:
    """The table of entries that have the same test rows, which the page calls `place`."""
    found: list[tuple[float, Row]] = []
    seen: set[object] = set()
    for entry in entries:
        rule = _best_rule(test_domain, (entry, *entries))
        seconds = _seconds(entry, test_domain)
        for group in _largest(entry, test_domain):
            auc = entry.estimates.known[group, "auc"].measured.value
            if (group, auc) not in seen:  # rules of several runs on the same rows are the same
                seen.add((group, auc))
                found.append((auc, _row(entry, group, rule, seconds.get(group, ()))))
    first = next(row for row in entries[0].rows if row.cell.test_domain == test_domain)
    is_generated = entries[0].is_generated(test_domain)
    if first.n_samples == paper.test_rows.get(test_domain) and not is_generated:
        found += list(_published(paper, test_domain))
    rows = [row for _, row in sorted(found, key=lambda item: -item[0])]
    title = f"Test set {test_domain}: {first.n_samples:,} rows of {first.n_users:,} users"
    title += ", generated data" if is_generated else ""
    return Table(place, title, COLUMNS, tuple(rows), domain=test_domain)


def _largest(entry: Entry, test_domain: str) -> Iterator[Cell]:
    """The groups of a test set, those that learn at their largest K of the grid."""
    shots = entry.provenance["n_shots"]
    found: dict[tuple[str, str], Cell] = {}
    for group in dict.fromkeys(group_of(row.cell) for row in entry.rows):
        key = group.family, group.method
        is_of_grid = group.test_domain == test_domain and (
            group.family in ("icl", "external") or group.n_shots in (0, *shots)
        )
        if is_of_grid and (key not in found or group.n_shots > found[key].n_shots):
            found[key] = group
    yield from found.values()


def _best_rule(test_domain: str, entries: Sequence[Entry]) -> tuple[Cell, Estimates] | None:
    """The rule without training with the highest AUC, of the first of the entries that has any.

    Returns:
        The rule, and it beside all of the first entry.
    """
    for one in entries:
        rules = [
            group
            for group, metric in one.estimates.known
            if metric == "auc" and group.test_domain == test_domain and group.family == "control"
        ]
        rules = [group for group in rules if not (CONTROLS[group.method].learns or CONTROLS[group.method].is_random)]
        if rules:
            best = max(rules, key=lambda group: one.estimates.known[group, "auc"].measured.value)
            return best, Estimates({(best, "auc"): one.estimates.known[best, "auc"], **entries[0].estimates.known})
    return None


def _row(entry: Entry, group: Cell, rule: tuple[Cell, Estimates] | None, seconds: Sequence[float]) -> Row:
    confidence: float = entry.provenance["confidence"]
    known = entry.estimates.known[group, "auc"]
    metrics = [_value(entry.estimates.estimate(group, name), confidence) for name in ("auc", "equal_share_auc", "uauc")]
    over = Value(DASH)
    if rule and rule[0] != group:
        best, beside = rule
        over = _value(beside.difference(group, best), confidence, sign="+")
    run = Value(entry.folder.name, href=f"results/{entry.folder.name}")
    values = (Value(str(group.n_shots)), Value(str(len(known.seeds))), *metrics, over, _time(seconds), run)
    name = method_of(entry.provenance["model"], group.method, domain_of(group.test_domain))
    name += f" ({entry.provenance['model']})" if group.family == "icl" else ""
    return Row(name, values, family=HEADINGS[group.family], more=tuple(_more(entry, group)))


def _value(estimate: Estimate | None, confidence: float, sign: str = "") -> Value:
    if estimate is None:
        return Value("not defined")
    margin = estimate.margin(confidence)
    told = estimate.why_unknown if margin is None else f"±\u00a0{points(margin, 1)}"
    return Value(f"{100 * estimate.value:{sign}.1f}", told)


def _seconds(entry: Entry, test_domain: str) -> dict[Cell, list[float]]:
    """Seconds of each cell of a test set, its tuning included, by group."""
    found: dict[Cell, list[float]] = defaultdict(list)
    for (cell, root), record in entry.records.items():
        if root == "runs" and cell.test_domain == test_domain:
            tuning = entry.records.get((replace(cell, test_domain=cell.train_domain), "runs/tune"), {})
            found[group_of(cell)].append(record["wall_seconds"] + tuning.get("wall_seconds", 0.0))
    return found


def _time(seconds: Sequence[float]) -> Value:
    """The mean over seeds."""
    if not seconds:
        return Value(DASH)
    mean = statistics.fmean(seconds)
    return Value(f"{mean:,.0f} s" if mean >= 1 else f"{mean:.2f} s")


def _more(entry: Entry, group: Cell) -> Iterator[tuple[str, str]]:
    told = entry.provenance
    seeds = entry.estimates.known[group, "auc"].seeds
    if len(seeds) > 1:
        yield "seeds", ", ".join(points(auc, 1) for auc in seeds.values())
    yield "command", f"cp docs/results/{entry.folder.name}/params.yaml . && dvc repro"
    yield "presets", told["presets"]
    commits = ", ".join(str(one)[:10] for one in told["commits"])
    yield "code", commits + (", with changed files" if told["changed_files"] else "")
    yield "machine", ", ".join(one or "unknown" for one in told["devices"])
    yield "by", f"{told['by']}, {' to '.join(told['days'])}" + (f"; {told['note']}" if told["note"] else "")


def _published(paper: Paper, domain: str) -> Iterator[tuple[float, Row]]:
    """TALLRec as published, at its largest K."""
    numbers = [n for n in paper.numbers if n.table == "main" and n.method == f"tallrec-{domain}"]
    for number in sorted(numbers, key=lambda n: n.n_shots)[-1:]:
        texts = (str(number.n_shots), "5", points(number.auc, 1), *[DASH] * 4, "the paper")
        values = tuple(Value(text) for text in texts)
        yield number.auc, Row(f"TALLRec ({PAPERS_MODEL}), paper", values, family=HEADINGS["paper"])
