"""What a grid can decide, before anything runs: its claims, judged on the noise that is to be expected.

The noise of users has a part that all rows of a user share, of methods that read how lenient a user is, and a part of
each row. That of seeds is of public re-runs for tuned models (`paper.yaml`), and as measured for all others. Draws that
fail are not foretold.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from benchmark.config.params import Params
from benchmark.methods.grid import cells, is_seeded
from benchmark.schema import Cell, domain_of, group_of
from benchmark.statistics.comparisons import table_pairs
from benchmark.statistics.estimates import ROUNDING, Estimate, Estimates, Terms
from benchmark.statistics.power import smallest_seen
from benchmark.statistics.results import CHANCE, Summary
from benchmark.statistics.uncertainty import NOISELESS, Spread, joined
from benchmark.verdicts.claims import judge_claims
from benchmark.verdicts.evidence import Evidence, Results, what_it_takes
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import PAPER_SEEDS
from benchmark.verdicts.setting import has_the_papers_model

OF_USER, OF_ROW = 0.144, 0.54
"""Standard deviations of the AUC of one user with many rows, and of one row. With them the share of likes has margins
of 11.6, 2.1 and 2.3 points on movie (1,000 rows of 9.4 effective users), its further users (835) and book (a row a
user); 11.2, 2.1 and 2.1 were measured."""
IN_COMMON = 0.5
"""Assumed correlation of the first part between two methods that have it."""
SEED_SD = 0.015
"""Of methods that are no tuned model: 0.6 to 2.4 points were measured."""
DRAWS_IN_COMMON = 0.25
"""Correlation over seeds of two methods, or two Ks of one, that learn from the same draws: 0.2 to 0.3 were measured."""
TUNED_SD = 0.06
"""Of tuned models at a K of which `paper.yaml` says nothing."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """What is known of a test set before a run."""

    __test__ = False  # no class of tests, whatever pytest makes of its name

    n_rows: int
    n_users: int
    n_effective: float
    """Users that would be as uncertain if all had equally many rows."""


@dataclass(frozen=True)
class Foretold(Estimates):
    """Estimates without a run: of each group its published AUC, or chance, and the noise that is expected."""

    test_sets: Mapping[str, TestSet] = field(default_factory=dict[str, TestSet])
    values: Mapping[Cell, float] = field(default_factory=dict[Cell, float])
    seeds: Mapping[Cell, tuple[int, float]] = field(default_factory=dict[Cell, tuple[int, float]])
    """Number of seeds and their standard deviation, by group; none for one without any noise of seeds."""

    def combined(self, terms: Terms, metric: str = "auc") -> Estimate | None:  # noqa: ARG002
        """A sum of methods with factors, each with its own noise, whatever the metric."""
        value = sum(factor * self.values[group] for group, factor in terms.items())
        if any(self.seeds[group][0] < 2 for group in terms if group in self.seeds):
            return Estimate(value, None, "one seed")
        of_seeds = self._over_seeds_of(terms)
        users = joined([self._over_users(name, terms) for name in dict.fromkeys(group.test_domain for group in terms)])
        seeds = joined(of_seeds) if of_seeds else NOISELESS
        return Estimate(value, joined([users, *of_seeds]), parts=(users, seeds))

    def adjusted(self, comparisons: object, p_values: Iterable[float], beside: object = ()) -> list[float]:  # noqa: ARG002
        """No correction: nothing is contradicted before a run."""
        return list(p_values)

    def _over_seeds_of(self, terms: Terms) -> list[Spread]:
        """The noise of seeds by method; apart, what several on one side share that learn from the same draws."""
        sides: dict[tuple[bool, str], list[tuple[float, float]]] = defaultdict(list)
        for group, factor in terms.items():
            if group in self.seeds:
                n_seeds, sd = self.seeds[group]
                sides[factor > 0, group.train_domain].append((abs(factor) * sd / n_seeds**0.5, n_seeds - 1.0))
        parts: list[Spread] = []
        for side in sides.values():
            shared = DRAWS_IN_COMMON if len(side) > 1 else 0.0
            parts += [Spread((1 - shared) * error**2, dof) for error, dof in side]
            if shared:
                parts.append(Spread(shared * sum(error for error, _ in side) ** 2, min(dof for _, dof in side)))
        return parts

    def _over_users(self, test_set: str, terms: Terms) -> Spread:
        there = self.test_sets[test_set]
        factors = {group: factor for group, factor in terms.items() if group.test_domain == test_set}
        lenient = [factor for group, factor in factors.items() if _reads_leniency(group)]
        of_users = (1 - IN_COMMON) * sum(f**2 for f in lenient) + IN_COMMON * sum(lenient) ** 2
        of_rows = sum(factor**2 for factor in factors.values())
        variance = OF_USER**2 * of_users / there.n_effective + OF_ROW**2 * of_rows / there.n_rows
        return Spread(variance, max(1.0, there.n_effective - 1))


def _reads_leniency(group: Cell) -> bool:
    """Whether a score tells lenient users from others: not one of an output row an item or an untuned model."""
    if group.family == "baseline":
        return group.method.endswith("-shared")
    return group.family == "tuned" or group.method in ("liked_share", "last_label", "item_mean_liked_share")


def foretold(params: Params, paper: Paper, test_sets: Mapping[str, TestSet]) -> Results:
    """A run of this grid whose results are the published ones, and chance where nothing is published.

    Args:
        params: the configuration.
        paper: all of `paper.yaml`.
        test_sets: by name; cells of others are left out.
    """
    members: dict[Cell, list[Cell]] = {}
    for cell in cells(params, dict.fromkeys(params.grid.domains, 0)):
        if cell.test_domain in test_sets:
            members.setdefault(group_of(cell), []).append(cell)
    published = {one.group: one.auc for one in reversed(paper.numbers)}  # the paper's own stand first
    values = {group: published.get(group, CHANCE) for group in members}
    seeds = {g: (len(found), _seed_sd(g, paper)) for g, found in members.items() if is_seeded(params, found[0])}
    groups: dict[Cell, Summary | None] = {}
    for group, found in members.items():
        there, n_seeds = test_sets[group.test_domain], len(found)
        aucs = (values[group],) * n_seeds
        groups[group] = Summary(found[0], n_seeds, n_seeds, aucs[0], aucs, {}, there.n_users, there.n_rows)
    estimates = Foretold({}, test_sets=test_sets, values=values, seeds=seeds)
    return Results(groups, params.evaluate.confidence, (), has_the_papers_model(params, paper), estimates=estimates)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a grid can see of one question, in AUC."""

    of: str
    smallest: float | None
    """True distance that is seen in most runs; None where one seed has no margin."""
    published: float | None = None
    """The distance that published numbers have, where there are any; of the comparison that needs most for it."""
    takes: str = ""
    """What it would take to see that."""


def sights(results: Results, paper: Paper) -> Iterator[Sight]:
    """By table (the pair that is seen worst), then by claim (the comparison that is).

    Args:
        results: of `foretold`.
        paper: all of `paper.yaml`.
    """
    published = {one.group for one in paper.numbers}
    worst: dict[str, float] = {}
    for pair in table_pairs(results.groups):
        one = results.estimates.combined(pair.terms)
        if one and one.spread:
            seen = smallest_seen(one.spread, results.confidence)
            worst[pair.left.test_domain] = max(seen, worst.get(pair.left.test_domain, 0.0))
    for domain, smallest in worst.items():
        yield Sight(f"differences, {domain}", smallest)
    for claim in judge_claims(results):
        seen = [item for item in claim.evidence if item.smallest]
        known = [item for item in seen if all(cell in published for cell, _ in item.terms)]
        if known:
            hardest = max(known, key=lambda item: (item.smallest or 0.0) / max(abs(item.distance or 0.0), ROUNDING))
            yield Sight(claim.id, hardest.smallest, hardest.distance, _takes(hardest, results))
        elif claim.evidence:
            yield Sight(claim.id, max((item.smallest or 0.0 for item in seen), default=None))


def _takes(item: Evidence, results: Results) -> str:
    distance, terms = item.distance or 0.0, dict(item.terms)
    one = results.estimates.combined(terms)
    return what_it_takes(distance, one, terms, results) if one and (item.smallest or 0.0) > abs(distance) else ""


def _seed_sd(group: Cell, paper: Paper) -> float:
    if group.family != "tuned":
        return SEED_SD
    errors = paper.seed_errors.get(domain_of(group.test_domain), {})
    return errors[group.n_shots] * PAPER_SEEDS**0.5 if group.n_shots in errors else TUNED_SD
