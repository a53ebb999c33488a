"""What a run found, in two to four sentences with numbers: the first thing that a reader sees."""

from collections.abc import Iterator

from benchmark.methods.controls import CONTROLS
from benchmark.report.inputs import Inputs
from benchmark.report.tables import points
from benchmark.schema import Cell
from benchmark.statistics.results import Summary

TRAINED = ("baseline", "tuned")


def findings(inputs: Inputs) -> list[str]:
    """The sentences, a domain after the other."""
    return [sentence for domain in inputs.params.grid.domains for sentence in _of_domain(inputs, domain)]


def _of_domain(inputs: Inputs, domain: str) -> Iterator[str]:
    known = {group: summary for group, summary in inputs.groups.items() if summary and group.test_domain == domain}
    rules = [group for group in known if group.family == "control" and not CONTROLS[group.method].learns]
    trained = [group for group in known if group.family in TRAINED and group.train_domain in (domain, "both")]
    where = f"On {domain}" + (" (generated data)" if inputs.params.domains[domain].source == "embedded" else "")
    rule, model = (max(groups, key=lambda g: known[g].auc, default=None) for groups in (rules, trained))
    if rule is None and model is None:
        return
    if rule:
        said = f"{where}, the best rule without training, {rule.method}, has an AUC of {_with_margin(known[rule])}"
        yield said + (f"; {_best(known[model])}." if model else ".")
    if rule and model:
        yield _compared(inputs, model, rule)
    released = [group for group in trained if group.family == "baseline" and "-" not in group.method]
    if len(released) > 1:
        lowest, highest = (choose(known[group].auc for group in released) for choose in (min, max))
        n_models = len({group.method for group in released})
        yield (
            f"{_counted(n_models)} as released, with an output row for each item, lies between "
            f"{points(lowest, 1)} and {points(highest, 1)}; chance is 50."
        )


def _counted(n_models: int) -> str:
    return "The one recommender" if n_models == 1 else f"Each of the {n_models} recommenders"


def _best(summary: Summary) -> str:
    cell = summary.cell
    return f"the best trained model, {cell.method} at K = {cell.n_shots}, {_with_margin(summary)}"


def _with_margin(summary: Summary) -> str:
    if summary.margin is None:
        return f"{points(summary.auc, 1)} ({summary.why_no_interval}, so no margin)"
    return f"{points(summary.auc, 1)} ± {points(summary.margin, 1)}"


def _compared(inputs: Inputs, model: Cell, rule: Cell) -> str:
    """Whether the best model and the best rule can be told apart: on the same users."""
    found = inputs.estimates.difference(model, rule)
    if found is None or found.spread is None:
        return f"{model.method} and {rule.method} cannot be told apart: {found.why_unknown if found else 'not run'}."
    margin = found.margin(inputs.params.evaluate.confidence) or 0.0
    numbers = f"{100 * found.value:+.1f} ± {100 * margin:.1f} on the same users"
    if abs(found.value) <= margin:
        return f"The two cannot be told apart ({numbers})."
    return f"{model.method} is {'above' if found.value > 0 else 'below'} {rule.method} ({numbers})."
