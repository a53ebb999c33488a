"""The published numbers beside ours: equivalent, at chance, different, or cannot tell.

Both were measured on the same test rows, so users are no noise here: seeds are, ours and those that the paper averages.
A result is the same as published only if the interval of the difference lies within a tolerance that was stated before
any run; that the difference is not significant says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.config.params import Params
from benchmark.schema import Cell, group_of
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.results import CHANCE, Summary
from benchmark.statistics.uncertainty import Spread, margin
from benchmark.verdicts.paper import Paper, PaperNumber
from benchmark.verdicts.setting import has_the_papers_model, other_values

VERDICTS = ("equivalent", "at chance", "different", "cannot tell", "not comparable", "missing")
"""What verdicts are counted as, in this order."""
RESERVED = "with reservation"
PAPER_SEEDS = 5
"""Runs that a published number is the mean of."""
LEVEL = 0.05
"""How often a true difference beyond the tolerance passes as equivalent, and none as different."""
NEAR_CHANCE = 0.03
"""A published number as near to chance as that says that the method is at chance, and no more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a published number and ours say of each other."""

    number: PaperNumber
    observed: Summary | None
    verdict: str
    """One of `VERDICTS`."""
    reason: str
    reservations: tuple[str, ...] = ()
    """In what our run differs from the paper's, although it was tested on the same rows."""

    @property
    def label(self) -> str:
        """The verdict as it is shown: one that has reservations never reads as one without."""
        return f"{self.verdict} {RESERVED}" if self.reservations else self.verdict


def other_test_rows(number: PaperNumber, params: Params, paper: Paper, test_rows: Mapping[str, int]) -> str | None:
    """Why our test rows are not those of a published number; None if they are.

    Args:
        number: the published number.
        params: the configuration.
        paper: all of `paper.yaml`.
        test_rows: rows of our test set, by domain.
    """
    domain = number.test_domain
    obstacle = _why_not_real(domain, params)
    if obstacle:
        return obstacle
    section = params.domains[domain]
    if section.format not in paper.formats[domain]:
        return f"other data: {section.format}"
    for key, value in paper.formats[domain][section.format].items():
        if getattr(section, key) != value:
            return f"other rows: {key} is {getattr(section, key)}, the paper's {value}"
    if params.evaluate.max_test_samples is not None:
        return "a first look at a part of the test rows"
    expected, rows = paper.test_rows[domain], test_rows[domain]
    return f"another test set: {rows} rows, the paper's has {expected}" if rows != expected else None


def _why_not_real(domain: str, params: Params) -> str | None:
    if domain not in params.grid.domains:
        return f"{domain} is not in the grid"
    return f"the {domain} data are generated" if params.domains[domain].source == "embedded" else None


def why_not_comparable(number: PaperNumber, params: Params, paper: Paper, test_rows: Mapping[str, int]) -> str | None:
    """Why a result under `params` measures something else than the published number; None if it does not.

    Args:
        number: the published number.
        params: the configuration.
        paper: all of `paper.yaml`.
        test_rows: rows of our test set, by domain.
    """
    obstacle = _why_not_real(number.train_domain, params) or other_test_rows(number, params, paper, test_rows)
    if obstacle or number.group.family != "tuned":
        return obstacle
    if has_the_papers_model(params, paper):
        return None
    is_its_name = params.llm.model in paper.language_models
    return "random weights" if is_its_name else f"another language model: {params.llm.model}"


def reservations(number: PaperNumber, params: Params, stand_ins: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """In what a result on the paper's test rows still differs from what was published.

    Args:
        number: the published number.
        params: the configuration.
        stand_ins: files that another one stands in for, by domain.
    """
    of_files = ("stand-in training rows",) if stand_ins.get(number.train_domain) else ()
    return of_files + other_values(number.group, params)


def judge(
    number: PaperNumber,
    summaries: Mapping[Cell, Summary | None],
    estimates: Estimates,
    obstacle: str | None,
    reserved: tuple[str, ...] = (),
) -> Verdict:
    """The verdict on one number.

    `equivalent`: two one-sided tests say that the difference lies within the tolerance; `at chance`: so it is, and the
    published number is at chance itself; `different`: there is a difference, and it need not lie within; `cannot tell`:
    neither. `missing`: not every seed was run. `not comparable`: there is an `obstacle`.

    Args:
        number: the published number.
        summaries: our results.
        estimates: the same with their noise.
        obstacle: of `why_not_comparable`.
        reserved: of `reservations`.

    Source:
        Two one-sided tests: Schuirmann 1987.
    """
    group = group_of(number.group)
    observed = summaries.get(group)
    if observed is None or not observed.is_complete:
        run = f"{observed.seeds_said} were run" if observed else "not run"
        return Verdict(number, observed, "missing", run)
    if obstacle:
        return Verdict(number, observed, "not comparable", obstacle)
    change = observed.auc - number.auc
    ours = estimates.of_seeds(group)
    if ours is None or observed.n_seeds < 2:
        said = f"{100 * change:+.2f} points, one seed"
        return Verdict(number, observed, "cannot tell", said, reserved)
    spread = Spread(ours.variance * (1 + observed.n_seeds / PAPER_SEEDS), ours.dof)
    verdict = _told(change, spread, number)
    half = margin(spread, 1 - LEVEL)
    said = f"{100 * change:+.2f} ± {100 * half:.2f} points, tolerance {100 * number.tolerance:g}"
    return Verdict(number, observed, verdict, said, reserved)


def _told(change: float, spread: Spread, number: PaperNumber) -> str:
    if abs(change) + margin(spread, 1 - 2 * LEVEL) < number.tolerance:
        return "at chance" if abs(number.auc - CHANCE) <= NEAR_CHANCE else "equivalent"
    return "different" if abs(change) > margin(spread, 1 - LEVEL) else "cannot tell"
