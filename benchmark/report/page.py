"""Everything on the page, and rendering it as HTML and Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.report import finding
from benchmark.report.examples import Example, examples
from benchmark.report.figures import curves, dots, strips
from benchmark.report.inputs import Inputs
from benchmark.report.tables import (
    checks,
    composition,
    controls,
    costs,
    cross_domain,
    data,
    efficiency,
    in_context,
    main,
    memory,
    probes,
    provenance,
    published,
)
from benchmark.report.tables.form import Table
from benchmark.verdicts.chance import ChanceBounds
from benchmark.verdicts.claims import VERDICTS, ClaimVerdict, Results, judge_with_follow_ups
from benchmark.verdicts.doubts import doubts
from benchmark.verdicts.follow_ups import load_follow_ups
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import other_test_rows
from benchmark.verdicts.setting import has_the_papers_model

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = {
    "summary": "Result",
    "main": "Main table",
    "follow-ups": "Papers after it",
    "claims": "Claims",
    "further": "Further test set",
    "differences": "Differences",
    "users": "Within users",
    "ablation": "Ablation",
    "icl": "In-context",
    "external": "From elsewhere",
    "cross": "Cross-domain",
    "controls": "Controls",
    "calibration": "Calibration",
    "audit": "Audit",
    "probes": "Probes",
    "cost": "Cost",
    "data": "Data",
    "provenance": "Provenance",
    "reproduce": "Reproduce",
}

Plot = dots.DotPlot | curves.CurvePlot | strips.StripPlot


@dataclass(frozen=True)
class Page:
    """The content of the report, as the templates read it."""

    title: str
    """Preset, model, data and date."""
    facts: Sequence[str]
    """The size of the run in one line."""
    domains: Sequence[str]
    generated: Sequence[str]
    """Domains whose data are generated."""
    findings: Sequence[str]
    """What came out, in sentences with numbers."""
    warnings: Sequence[str]
    """What a reader must know before any number, and what the records of the run say against its results."""
    claims: Sequence[ClaimVerdict]
    claim_counts: Counter[str]
    """By `ClaimVerdict.label`, so that one on another model is counted as such; in the order of `VERDICTS`."""
    verdict_counts: Mapping[str, Mapping[str, int]]
    """Of the distinct published numbers, by status (`published`, `pre-publication`) and verdict."""
    cell_counts: Counter[str]
    lost: Sequence[str]
    """Cells without a valid result, by name."""
    confidence: str
    overviews: Sequence[dots.DotPlot]
    ablations: Sequence[curves.CurvePlot]
    icl_plots: Sequence[dots.DotPlot]
    tunings: Sequence[curves.CurvePlot]
    """Validation AUC over updates."""
    strips: Sequence[strips.StripPlot]
    """AUC within each test user."""
    examples: Sequence[Example]
    """What is asked, on generated data."""
    main: Sequence[Table]
    extended: Sequence[Table]
    """Of the further test sets, which are mixed with no other."""
    differences: Sequence[Table]
    within_users: Sequence[Table]
    correlations: Sequence[Table]
    sensitivity: Sequence[Table]
    icl: Sequence[Table]
    external: Sequence[Table]
    """Of scores that were not made here."""
    cross_domain: Sequence[Table]
    controls: Sequence[Table]
    data: Sequence[Table]
    calibration: Sequence[Table]
    audit: Table
    probes: Table
    memory: Sequence[Table]
    """Of what the language model may have known before; none where nothing of it was run."""
    efficiency: Table
    cost: Table
    commands: Table
    fidelity: Table
    published: Table
    independent: Table
    follow_ups: Sequence[Table]
    """Of the papers after TALLRec, on their own rows."""
    provenance: dict[str, str]

    @property
    def sections(self) -> dict[str, str]:
        """Every section that has something to show: its place and its name in the list of contents."""
        tables = {
            "further": self.extended,
            "differences": self.differences,
            "users": self.within_users,
            "icl": self.icl,
            "external": self.external,
            "cross": self.cross_domain,
            "controls": self.controls,
            "calibration": self.calibration,
            "audit": [self.audit],
            "probes": [self.probes, *self.memory],
            "cost": [self.efficiency, self.cost],
            "follow-ups": self.follow_ups,
        }
        filled = {name for name, found in tables.items() if any(row.is_run for table in found for row in table.rows)}
        filled |= {"ablation"} if self.tunings or self.ablations else set()
        return {name: title for name, title in SECTIONS.items() if name in filled or name not in (*tables, "ablation")}

    @property
    def plots(self) -> list[Plot]:
        """Every figure."""
        return [*self.overviews, *self.ablations, *self.icl_plots, *self.tunings, *self.strips]

    @property
    def tables(self) -> list[Table]:
        """Every table that is exported."""
        several = [*self.main, *self.extended, *self.within_users, *self.icl, *self.cross_domain, *self.controls]
        several += [*self.data, *self.differences, *self.correlations, *self.sensitivity, *self.calibration]
        several += [*self.external, *self.memory, self.audit, self.probes, self.efficiency, self.cost]
        return [*several, self.fidelity, self.published, self.independent, *self.follow_ups]


def build_page(inputs: Inputs, paper: Paper) -> Page:
    """Decide every claim and verdict, and lay out the tables and figures."""
    params, domains = inputs.params, inputs.params.grid.domains
    model_is_papers = has_the_papers_model(params, paper)
    results = Results(
        groups=inputs.groups,
        confidence=params.evaluate.confidence,
        efficiency=inputs.efficiency,
        model_is_papers=model_is_papers,
        model=params.llm.model,
        published_errors=paper.errors_over_seeds,
        estimates=inputs.estimates,
        is_first_look=params.evaluate.max_test_samples is not None,
        published={
            number.group: number.auc
            for number in paper.numbers
            if number.table == "main" and not other_test_rows(number, params, paper, inputs.test_rows)
        },
    )
    of_field = load_follow_ups().domains(params, inputs.test_rows)
    claims = judge_with_follow_ups(results, of_field)
    counted = published.verdict_counts(inputs, paper) if paper.formats.keys() & set(domains) else {}
    generated = [domain for domain in domains if params.domains[domain].source == "embedded"]
    ablations = [curves.ablation_plot(inputs, paper, domain) for domain in domains]
    icl_plots = [dots.icl_plot(inputs, domain) for domain in domains]
    return Page(
        title=finding.title(inputs),
        facts=finding.facts(inputs, generated),
        domains=domains,
        generated=generated,
        findings=finding.findings(inputs, paper),
        warnings=[
            *finding.warnings(inputs, generated, model_is_papers=model_is_papers),
            *doubts(inputs.rows, ChanceBounds(params)),
        ],
        claims=claims,
        claim_counts=Counter(claim.label for claim in sorted(claims, key=lambda one: VERDICTS.index(one.verdict))),
        verdict_counts=counted,
        cell_counts=Counter(row.status for row in inputs.rows),
        lost=[f"{row.cell}: {row.status}" for row in inputs.rows if row.status != "ok"],
        confidence=f"{100 * params.evaluate.confidence:g} %",
        overviews=[dots.overview_plot(inputs, paper, domain) for domain in domains],
        ablations=[plot for plot in ablations if plot.lines or plot.levels],
        icl_plots=[plot for plot in icl_plots if any(row.family == "icl" for row in plot.rows)],
        tunings=curves.tuning_plots(inputs),
        strips=strips.strip_plots(inputs),
        examples=examples(inputs),
        main=[main.main_table(inputs, paper, domain) for domain in domains],
        extended=[main.extended_table(inputs, name) for domain in domains for name in params.test_sets(domain)[1:]],
        differences=[table for domain in domains for table in checks.difference_tables(inputs, domain)],
        within_users=[composition.within_user_table(inputs, domain) for domain in domains],
        correlations=[composition.correlation_table(inputs, domain) for domain in domains],
        sensitivity=[composition.sensitivity_table(inputs, domain) for domain in domains],
        icl=[in_context.icl_table(inputs, domain) for domain in domains],
        external=[main.external_table(inputs, s) for s in dict.fromkeys(e.test_domain for e in params.external)],
        cross_domain=[cross_domain.cross_domain_table(inputs, recipe) for recipe in params.grid.recipes],
        controls=[controls.control_table(inputs, domain) for domain in domains],
        data=[table for domain in domains for table in data.data_tables(inputs, domain)],
        calibration=[checks.calibration_table(inputs, domain) for domain in domains],
        audit=checks.audit_table(inputs),
        probes=probes.probe_table(inputs),
        memory=memory.memory_tables(inputs),
        efficiency=efficiency.efficiency_table(inputs),
        cost=costs.cost_table(inputs),
        commands=provenance.command_table(inputs),
        fidelity=provenance.fidelity_table(params.fidelity),
        published=published.published_table(inputs, paper),
        independent=published.independent_table(inputs, paper),
        follow_ups=[published.follow_ups_table(inputs, domain) for domain in of_field],
        provenance=provenance.provenance_rows(inputs),
    )


@cache
def environment(*, is_markdown: bool = False) -> Environment:
    """Templates that escape what they are given: all that HTML reads, or what Markdown would read as a tag."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=not is_markdown,  # noqa: S701
        finalize=_without_tags if is_markdown else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _without_tags(value: object) -> str:
    return str(value).replace("<", "&lt;")


def styles() -> tuple[str, str]:
    """The style sheet and the script of every page."""
    return _figure_css() + (TEMPLATES / "report.css").read_text(), (TEMPLATES / "tables.js").read_text()


def render_html(page: Page) -> str:
    """The page as one file that asks for nothing else."""
    css, script = styles()
    return environment().get_template("report.html.j2").render(page=page, css=css, script=script)


def render_svg(plot: Plot) -> str:
    """A figure as a file by itself, with its title and legend, light or dark as the reader's screen is."""
    return environment().get_template("figure.svg.j2").render(plot=plot, css=_figure_css())


def _figure_css() -> str:
    return (TEMPLATES / "figures.css").read_text()


def render_markdown(page: Page) -> str:
    """A short text, fit for a comment on a pull request."""
    return environment(is_markdown=True).get_template("report.md.j2").render(page=page)
