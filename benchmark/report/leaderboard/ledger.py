"""The claims ledger of the kept runs: what they decide together on real rows, a column a language model."""

from collections.abc import Sequence
from dataclasses import replace

from benchmark.config.run_names import PAPERS_MODEL
from benchmark.report.leaderboard.entry import Entry
from benchmark.report.tables.form import Entry as Value
from benchmark.report.tables.form import Row, Table
from benchmark.schema import LANGUAGE_MODELS, group_of
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.results import summarise
from benchmark.verdicts.claims import judge_claims
from benchmark.verdicts.evidence import Results
from benchmark.verdicts.paper import Paper

HEADINGS = {"paper": "What the paper says", "ours": "What we ask beside it"}
NOTE = (
    "From each language model's run, and the runs of recommenders and rules on the same test rows. So far: not all "
    "that the claim names was run."
)
NONE_IS_THE_PAPERS = f" None of the models is the paper's {PAPERS_MODEL}."


def ledger(entries: Sequence[Entry], paper: Paper) -> Table | None:
    """A row a claim of the paper or ours, with its verdict for each language model that was run on its real rows.

    Returns:
        None where no entry has such a model.
    """
    of_models = [one for one in entries if _has_language_model(one) and _is_on_real_rows_of(paper, one)]
    columns = tuple(str(one.provenance["model"]) for one in of_models)
    judged = [judge_claims(_together(one, entries, paper)) for one in of_models]
    rows = [
        Row(
            claims[0].sentence,
            tuple(Value("", badge=claim.verdict) for claim in claims),
            group=HEADINGS[claims[0].of],
            more=tuple((model, claim.reason) for model, claim in zip(columns, claims, strict=True)),
        )
        for claims in zip(*judged, strict=True)
    ]
    rows.sort(key=lambda row: [*HEADINGS.values()].index(row.group))
    note = NOTE + ("" if PAPERS_MODEL in columns else NONE_IS_THE_PAPERS)
    return Table("claims", "Claims of the paper, and ours", columns, tuple(rows), note=note) if rows else None


def _has_language_model(entry: Entry) -> bool:
    return any(row.cell.family in LANGUAGE_MODELS for row in entry.rows)


def _is_on_real_rows_of(paper: Paper, entry: Entry) -> bool:
    is_generated = any(map(entry.is_generated, entry.test_rows))
    return not is_generated and not paper.test_rows.keys().isdisjoint(entry.test_rows)


def _together(entry: Entry, entries: Sequence[Entry], paper: Paper) -> Results:
    """What a run, and those without a language model on no other test rows than its own, have together."""
    beside = [one for one in entries if not _has_language_model(one) and _on_rows_of(entry, one)]
    rows, known = [*entry.rows], dict(entry.estimates.known)
    n_expected = dict(entry.n_seeds_of_grid)
    for other in sorted(beside, key=lambda one: -len(one.rows)):  # of one group, that of the larger run
        groups = {group_of(row.cell) for row in rows}
        rows += [row for row in other.rows if group_of(row.cell) not in groups]
        known = {**other.estimates.known, **known}
        n_expected = {**other.n_seeds_of_grid, **n_expected}
    estimates, confidence = Estimates(known), entry.provenance["confidence"]
    n_rows = {row.cell.test_domain: row.n_samples for row in rows}
    numbers = [one for one in paper.numbers if n_rows.get(one.test_domain) == paper.test_rows[one.test_domain]]
    return Results(
        groups={
            group: summary and replace(summary, n_expected=n_expected.get(group, summary.n_expected))
            for group, summary in summarise(rows, estimates, confidence).items()
        },
        confidence=confidence,
        efficiency=(),
        model_is_papers=entry.provenance["model"] == PAPERS_MODEL,
        model=entry.provenance["model"],
        estimates=estimates,
        published={one.group: one.auc for one in numbers if one.table == "main"},
        published_errors=paper.errors_over_seeds,
    )


def _on_rows_of(entry: Entry, other: Entry) -> bool:
    return other.provenance["confidence"] == entry.provenance["confidence"] and all(
        entry.test_rows.get(name) == digest for name, digest in other.test_rows.items()
    )
