"""Everything on the page, and rendering it as HTML and Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.methods.language_model_cells import unavailable
from benchmark.report import checks, composition, figures, published, sections, tables
from benchmark.report.costs import cost_table
from benchmark.report.finding import findings
from benchmark.report.inputs import Inputs
from benchmark.report.memory import memory_tables
from benchmark.report.tables import Table
from benchmark.verdicts.chance import ChanceBounds
from benchmark.verdicts.claims import ClaimVerdict, Results, judge_claims
from benchmark.verdicts.doubts import doubts
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import other_test_rows
from benchmark.verdicts.setting import has_the_papers_model

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """The content of the report, as the templates read it."""

    domains: Sequence[str]
    generated: Sequence[str]
    """Domains whose data are generated."""
    findings: Sequence[str]
    """What came out, in sentences with numbers."""
    doubts: Sequence[str]
    """What the records of the run say against its results."""
    warnings: Sequence[str]
    """What a reader must know before any number."""
    claims: Sequence[ClaimVerdict]
    claim_counts: Counter[str]
    verdict_counts: Mapping[str, Mapping[str, int]]
    """Of the distinct published numbers, by status (`published`, `pre-publication`) and verdict."""
    cell_counts: Counter[str]
    lost: Sequence[str]
    """Cells without a valid result, by name."""
    confidence: str
    overviews: Sequence[figures.DotPlot]
    ablations: Sequence[figures.CurvePlot]
    icl_plots: Sequence[figures.DotPlot]
    main: Sequence[Table]
    extended: Sequence[Table]
    """Of the further test sets, which are mixed with no other."""
    differences: Sequence[Table]
    within_users: Sequence[Table]
    correlations: Sequence[Table]
    sensitivity: Sequence[Table]
    icl: Sequence[Table]
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
    provenance: dict[str, str]

    @property
    def plots(self) -> list[figures.DotPlot | figures.CurvePlot]:
        """Every figure."""
        return [*self.overviews, *self.ablations, *self.icl_plots]

    @property
    def tables(self) -> list[Table]:
        """Every table that is exported."""
        several = [*self.main, *self.extended, *self.within_users, *self.icl, *self.cross_domain, *self.controls]
        several += [*self.data, *self.differences, *self.correlations, *self.sensitivity, *self.calibration]
        several += [*self.memory, self.audit, self.probes, self.efficiency, self.cost]
        return [*several, self.fidelity, self.published, self.independent]


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
        published_errors={
            number.group: paper.seed_errors[number.test_domain][number.n_shots]
            for number in paper.numbers
            if number.method == f"tallrec-{number.test_domain}"
            and number.n_shots in paper.seed_errors.get(number.test_domain, {})
        },
        estimates=inputs.estimates,
        is_first_look=params.evaluate.max_test_samples is not None,
        published={
            number.group: number.auc
            for number in paper.numbers
            if number.table == "main" and not other_test_rows(number, params, paper, inputs.test_rows)
        },
    )
    claims = judge_claims(results)
    counted = published.verdict_counts(inputs, paper)
    generated = [domain for domain in domains if params.domains[domain].source == "embedded"]
    return Page(
        domains=domains,
        generated=generated,
        findings=findings(inputs),
        doubts=doubts(inputs.rows, ChanceBounds(params)),
        warnings=_warnings(inputs, generated, model_is_papers=model_is_papers),
        claims=claims,
        claim_counts=Counter(claim.verdict for claim in claims),
        verdict_counts=counted,
        cell_counts=Counter(row.status for row in inputs.rows),
        lost=[f"{row.cell}: {row.status}" for row in inputs.rows if row.status != "ok"],
        confidence=f"{100 * params.evaluate.confidence:g} %",
        overviews=[figures.overview_plot(inputs, domain) for domain in domains],
        ablations=[figures.ablation_plot(inputs, paper, domain) for domain in domains],
        icl_plots=[figures.icl_plot(inputs, domain) for domain in domains]
        if params.grid.icl_models or params.grid.other_models
        else [],
        main=[tables.main_table(inputs, paper, domain) for domain in domains],
        extended=[tables.extended_table(inputs, name) for domain in domains for name in params.test_sets(domain)[1:]],
        differences=[table for domain in domains for table in checks.difference_tables(inputs, domain)],
        within_users=[tables.within_user_table(inputs, domain) for domain in domains],
        correlations=[composition.correlation_table(inputs, domain) for domain in domains],
        sensitivity=[composition.sensitivity_table(inputs, domain) for domain in domains],
        icl=[tables.icl_table(inputs, domain) for domain in domains],
        cross_domain=[tables.cross_domain_table(inputs, recipe) for recipe in params.grid.recipes],
        controls=[tables.control_table(inputs, domain) for domain in domains],
        data=[table for domain in domains for table in sections.data_tables(inputs, domain)],
        calibration=[checks.calibration_table(inputs, domain) for domain in domains],
        audit=checks.audit_table(inputs),
        probes=sections.probe_table(inputs),
        memory=memory_tables(inputs),
        efficiency=sections.efficiency_table(inputs),
        cost=cost_table(inputs),
        commands=sections.command_table(inputs),
        fidelity=sections.fidelity_table(params.fidelity),
        published=published.published_table(inputs, paper),
        independent=published.independent_table(inputs, paper),
        provenance=sections.provenance_rows(inputs),
    )


def _warnings(inputs: Inputs, generated: Sequence[str], *, model_is_papers: bool) -> list[str]:
    warnings: list[str] = []
    if generated:
        warnings.append(
            f"The data of {' and '.join(generated)} are generated (the embedded world). They show the "
            "mechanism of the paper; their numbers are not comparable with the published ones and say "
            "nothing about real users."
        )
    if inputs.params.evaluate.max_test_samples is not None:
        warnings.append(
            f"A first look: at most {inputs.params.evaluate.max_test_samples} rows of each test set were scored "
            "(evaluate.max_test_samples), so no verdict is given."
        )
    warnings += [f"Stand-in data. {found}." for found in sections.stand_ins(inputs)]
    grid = inputs.params.grid
    if not (grid.recipes or grid.icl_models or grid.other_models):
        warnings.append("No language model was run: nothing below is a result of TALLRec itself.")
    elif not model_is_papers:
        model = inputs.params.llm.model
        name = "a tiny model pretrained by the pipeline" if model == "tiny" else model
        if inputs.params.llm.weights == "random":
            name = f"{name} with random weights, for memory and speed alone"
        warnings.append(
            f"The language model is {name}, not the paper's LLaMA-7B: every verdict on TALLRec below is about "
            "this model."
        )
    n_lost = sum(row.status != "ok" for row in inputs.rows)
    if n_lost:
        warnings.append(f"{n_lost} of {len(inputs.rows)} cells have no valid result and are shown as missing.")
    for method, reason in unavailable(inputs.params, root="runs").items():
        stage = method.removeprefix("icl-")
        warnings.append(f"{method} could not be had: {reason}. It is asked again by `dvc repro -f -s others@{stage}`.")
    return warnings


def _environment(*, is_markdown: bool = False) -> Environment:
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


def render_html(page: Page) -> str:
    """The page as one file that asks for nothing else."""
    css = _figure_css() + (TEMPLATES / "report.css").read_text()
    return _environment().get_template("report.html.j2").render(page=page, css=css)


def render_svg(plot: figures.DotPlot | figures.CurvePlot) -> str:
    """A figure as a file by itself, with its title and legend, light or dark as the reader's screen is."""
    return _environment().get_template("figure.svg.j2").render(plot=plot, css=_figure_css())


def _figure_css() -> str:
    return (TEMPLATES / "figures.css").read_text()


def render_markdown(page: Page) -> str:
    """A short text, fit for a comment on a pull request."""
    return _environment(is_markdown=True).get_template("report.md.j2").render(page=page)
