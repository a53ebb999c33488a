"""The head of the page: what was run, what it found in two to four sentences, and what speaks against it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from benchmark.config.run_names import (
    PAPERS_MODEL,
    asks_language_model,
    data_names,
    method_name,
    model_name,
    presets_of,
)
from benchmark.methods.controls import CONTROLS
from benchmark.methods.language_model_cells import unavailable
from benchmark.report.inputs import Inputs
from benchmark.report.tables.data import stand_ins
from benchmark.report.tables.form import points
from benchmark.report.tables.published import follow_up_findings, verdict_counts
from benchmark.schema import Cell
from benchmark.statistics.results import Summary
from benchmark.verdicts.follow_ups import load_follow_ups
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import RESERVED, other_test_rows, reservations
from benchmark.verdicts.setting import has_the_papers_model

MOST_DOMAINS = 2
"""That have a sentence; the figure has them all."""
MODELS = ("baseline", "icl", "tuned", "external")


def title(inputs: Inputs) -> str:
    """Presets, model, data and the day of the last cell."""
    params = inputs.params
    model = model_name(params.llm) if asks_language_model(params) else "no language model"
    days = sorted(str(record["started_at"])[:10] for record in inputs.records.values() if record.get("started_at"))
    ran = [f"{date.fromisoformat(day):%-d %B %Y}" for day in days[-1:]]
    return " · ".join([presets_of(params), model, data_names(params), *ran])


def facts(inputs: Inputs, generated: Sequence[str]) -> list[str]:
    """The size of the run."""
    n_ok, grid = sum(row.status == "ok" for row in inputs.rows), inputs.params.grid
    n_seeds, has_fewer = len(grid.every_seed), len(grid.seeds) < len(grid.every_seed)
    models = f" ({len(grid.seeds)} of language models)" if has_fewer and asks_language_model(inputs.params) else ""
    tested = {domain: stats["splits"]["test"] for domain, stats in inputs.stats.items()}
    return [
        f"{n_ok:,} of {len(inputs.rows):,} cells",
        f"{n_seeds} seed{'s' if n_seeds > 1 else ''}{models}",
        f"K = {', '.join(map(str, grid.n_shots))}",
        *(f"{domain}: {found['rows']:,} test rows of {found['users']:,} users" for domain, found in tested.items()),
        *([f"generated data: {' and '.join(generated)}"] if generated else []),
    ]


def findings(inputs: Inputs, paper: Paper) -> list[str]:
    """What ranks best and what the best rule has, whether the paper's setting was run, and what cannot be told."""
    of_field = load_follow_ups().domains(inputs.params, inputs.test_rows)
    after = [said for domain in of_field for said in follow_up_findings(inputs, domain)]
    domains = [domain for domain in inputs.params.grid.domains if domain not in of_field]
    of_domains = [said for domain in domains[:MOST_DOMAINS] if (said := _of_domain(inputs, domain))]
    if not of_domains:
        return after
    released = list(_released_heads(inputs, domains[0])) if len(domains) == 1 else []
    return [*of_domains, *released, _setting(inputs, paper), *_as_published(inputs, paper), *after]


def _known(inputs: Inputs, domain: str) -> Mapping[Cell, Summary]:
    """What was run on a domain, apart from what learned from another one."""
    return {
        group: summary
        for group, summary in inputs.groups.items()
        if summary and group.test_domain == domain and group.train_domain in (domain, "both")
    }


def _best(inputs: Inputs, domain: str) -> list[Cell]:
    """The best rule without training (random scores are none) and the best model of a domain, the better one first.

    Before both, a rule that learns from the labels of a K of the grid, where it ranks above them.
    """
    known = _known(inputs, domain)
    controls = [(group, CONTROLS[group.method]) for group in known if group.family == "control"]
    rules = [group for group, control in controls if not (control.learns or control.is_random)]
    learned = [g for g, control in controls if control.learns and g.n_shots in inputs.params.grid.n_shots]
    models = [group for group in known if group.family in MODELS]
    best = [max(groups, key=lambda group: known[group].auc) for groups in (rules, models, learned) if groups]
    best.sort(key=lambda group: -round(known[group].auc, 3))  # as it is shown: what is equal there stays in order
    return [group for group in best if group == best[0] or group not in learned]


def _of_domain(inputs: Inputs, domain: str) -> str:
    known, best = _known(inputs, domain), _best(inputs, domain)
    if not best:
        return ""
    first, *others = best
    where = f"On {domain}" + (" (generated data)" if inputs.params.domains[domain].source == "embedded" else "")
    said = f"{where}, {_who(inputs, first)} ranks best, with an AUC of {_with_margin(known[first])}"
    for other in others:
        what = "rule without training" if other.family == "control" else "model"
        said += f"; the best {what}, {_who(inputs, other)}, has {_with_margin(known[other])}"
        said += _compared(inputs, first, other)
    return said + "."


def _who(inputs: Inputs, group: Cell) -> str:
    name = method_name(inputs.params, group.method, group.test_domain)
    return f"{name} at K = {group.n_shots}" if group.n_shots else name


def _with_margin(summary: Summary) -> str:
    """The value and its margin, or why there is none; and how many seeds were run, unless all were."""
    beside = [f"{summary.why_no_interval}, so no margin"] if summary.margin is None else []
    beside += [summary.seeds_said] if summary.seeds_said else []
    value = points(summary.auc, 1) + ("" if summary.margin is None else f" ± {points(summary.margin, 1)}")
    return value + (f" ({'; '.join(beside)})" if beside else "")


def _compared(inputs: Inputs, first: Cell, other: Cell) -> str:
    """Whether the two can be told apart: on the same users."""
    found = inputs.estimates.difference(first, other)
    margin = found.margin(inputs.params.evaluate.confidence) if found else None
    if found is None or margin is None:
        return f", and the two cannot be told apart ({found.why_unknown if found else 'not run'})"
    numbers = f"{100 * found.value:+.1f} ± {100 * margin:.1f} on the same users"
    if abs(found.value) <= margin:
        return f", and the two cannot be told apart ({numbers})"
    return f" ({numbers}; the margin does not count that each was chosen as the best of its kind)"


def _released_heads(inputs: Inputs, domain: str) -> Iterator[str]:
    known = _known(inputs, domain)
    released = [group for group in known if group.family == "baseline" and "-" not in group.method]
    n_models = len({group.method for group in released})
    if len(released) > 1:
        lowest, highest = (points(choose(known[group].auc for group in released), 1) for choose in (min, max))
        whose = "The one recommender" if n_models == 1 else f"Each of the {n_models} recommenders"
        yield (
            f"{whose} as released, with an output row for each item, lies between {lowest} and {highest}; chance is 50."
        )


def _setting(inputs: Inputs, paper: Paper) -> str:
    """Whether this is a reproduction of TALLRec itself: its model, on its test rows, with its values."""
    params = inputs.params
    numbers = [n for n in paper.numbers if n.table == "main" and n.method == f"tallrec-{n.test_domain}"]
    on_papers_rows = [n for n in numbers if not other_test_rows(n, params, paper, inputs.test_rows)]
    run = [n for n in on_papers_rows if (summary := inputs.groups.get(n.group)) and summary.is_complete]
    if has_the_papers_model(params, paper) and run:
        shots = ", ".join(map(str, sorted({n.n_shots for n in run})))
        what = f"{PAPERS_MODEL}, tested on the paper's rows of {' and '.join(sorted({n.test_domain for n in run}))}"
        if any(reservations(number, params, inputs.stand_ins) for number in run):
            return f"The paper's model was run at K = {shots}, with values that are not the paper's: {what}."
        return f"The paper's setting was run at K = {shots}: {what}."
    asks = asks_language_model(params)
    model = f"the language model is {model_name(params.llm)}" if asks else "no language model ran"
    rows = "the test rows are the paper's" if on_papers_rows else "the test rows are others"
    return f"The paper's setting, TALLRec with {PAPERS_MODEL}, was not run: {model}, and {rows}."


def _as_published(inputs: Inputs, paper: Paper) -> Iterator[str]:
    """What became of the published numbers; where none is beside ours, how much cannot be told."""
    counts = verdict_counts(inputs, paper)["published"]
    said = {
        "equivalent": "equivalent",
        "at chance": "at chance on both sides",
        "different": "different",
        "cannot tell": "not to be told from the same or from another",
    }
    reserved = {verdict: counts.get(f"{verdict} {RESERVED}", 0) for verdict in said}
    n_of = {verdict: counts[verdict] + reserved[verdict] for verdict in said}
    judged = [
        f"{n_of[verdict]} {words}" + (f" ({reserved[verdict]} {RESERVED})" if reserved[verdict] else "")
        for verdict, words in said.items()
        if n_of[verdict]
    ]
    if judged:
        yield f"Published numbers beside ours, {sum(n_of.values())} in all: {', '.join(judged)}."
        return
    margins = [
        (margin, _who(inputs, group), f"{inputs.stats[domain]['splits']['test']['users']} test users of {domain}")
        for domain in inputs.params.grid.domains
        for group in _best(inputs, domain)
        if (summary := inputs.groups[group]) and (margin := summary.margin) is not None
    ]
    if margins:
        margin, who, users = max(margins)
        yield f"Small differences cannot be told: {users} leave {who} a margin of ± {points(margin, 1)}."


def warnings(inputs: Inputs, generated: Sequence[str], *, model_is_papers: bool) -> list[str]:
    """What a reader must know before any number."""
    said: list[str] = []
    if generated:
        said.append(
            f"The data of {' and '.join(generated)} are generated (the embedded world). They show the "
            "mechanism of the paper; their numbers are not comparable with the published ones and say "
            "nothing about real users."
        )
    if inputs.params.evaluate.max_test_samples is not None:
        said.append(
            f"A first look: at most {inputs.params.evaluate.max_test_samples} rows of each test set were scored "
            "(evaluate.max_test_samples), so no verdict is given."
        )
    said += [f"Stand-in data. {found}." for found in stand_ins(inputs)]
    if not asks_language_model(inputs.params):
        said.append("No language model was run: nothing below is a result of TALLRec itself.")
    elif not model_is_papers:
        name = model_name(inputs.params.llm)
        name = "a tiny model pretrained by the pipeline" if inputs.params.llm.model == "tiny" else name
        if inputs.params.llm.weights == "random":
            name = f"{name} with random weights, for memory and speed alone"
        said.append(
            f"The language model is {name}, not the paper's LLaMA-7B: every verdict on TALLRec below is about "
            "this model."
        )
    n_lost = sum(row.status != "ok" for row in inputs.rows)
    if n_lost:
        said.append(f"{n_lost} of {len(inputs.rows)} cells have no valid result and are shown as missing.")
    unchecked = [str(cell) for cell, record in inputs.records.items() if record.get("ids_checked_by") == []]
    if unchecked:
        said.append(
            f"The scores of {'; '.join(unchecked)} were made elsewhere, and their files repeat nothing of the samples "
            "beside the ids: whether each score is that of its sample cannot be known."
        )
    for method, reason in unavailable(inputs.params, root="runs").items():
        stage = method.removeprefix("icl-")
        said.append(f"{method} could not be had: {reason}. It is asked again by `dvc repro -f -s others@{stage}`.")
    return said
