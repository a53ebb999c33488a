"""Rules of `params.yaml` that join two values, or a value and the code it names."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.config.names import unknown
from benchmark.config.params import Params
from benchmark.config.values import Problem
from benchmark.data import memorisation
from benchmark.data.domains import FORMATS, format_module
from benchmark.methods.baseline_values import baseline_problems
from benchmark.methods.controls import CONTROLS
from benchmark.methods.pinning import OWN_MODELS, model_problems
from benchmark.methods.probes import PROBES, PROMPT_STYLES
from benchmark.methods.tuning import n_updates
from benchmark.schema import EXTENDED, Cell, group_of

STYLES_FOLDER = Path(__file__).parents[2] / "tallrec" / "prompts" / "styles"


def contradictions(params: Params) -> Iterator[Problem]:
    """Every rule that joins two values."""
    yield from baseline_problems(params)
    yield from _grid_names(params)
    yield from _scales(params)
    yield from _sources(params)
    yield from _world(params)
    yield from _grid_sizes(params)
    yield from _external(params)
    yield from _probes(params)
    yield from _memory(params)
    yield from model_problems(params)
    yield from _processes(params)
    yield from _updates(params)


def _updates(params: Params) -> Iterator[Problem]:
    tune = params.tune
    if tune.n_updates is None and tune.n_epochs is None:
        yield "tune.n_updates", "expected a number above 0, or null beside tune.n_epochs, got both null"
    elif tune.n_updates is not None and tune.n_epochs is not None:
        yield "tune.n_epochs", f"expected null beside tune.n_updates = {tune.n_updates}, got {tune.n_epochs}"
    elif params.fidelity.checkpoint == "best_auc":
        fewest = min((n_updates(tune, n_rows) for n_rows in _rows_of_cells(params)), default=n_updates(tune, 1))
        if tune.eval_every > fewest:
            yield "tune.eval_every", f"no validation within the {fewest} updates of a cell, got {tune.eval_every}"


def _rows_of_cells(params: Params) -> Iterator[int]:
    """Training rows of each kind of cell that is tuned; `both` has the shots of every domain."""
    for train_domain in params.grid.train_domains:
        for n_shots in params.grid.n_shots:
            yield n_shots * (len(params.grid.domains) if train_domain == "both" else 1)


def _processes(params: Params) -> Iterator[Problem]:
    tune = params.tune
    if tune.sharded and tune.n_processes == 1:
        yield "tune.sharded", "one process has none to share weights with; set tune.n_processes"
    if tune.sharded and params.llm.quantization != "none":
        yield "tune.sharded", f"{params.llm.quantization} weights cannot be split; expected llm.quantization none"
    if tune.sharded and params.llm.weights == "random":
        yield "tune.sharded", "random weights are made whole; expected llm.weights pretrained"
    for n_rows in _rows_of_cells(params):
        batch_size = min(tune.batch_size, n_rows)
        if batch_size % tune.n_processes:
            yield "tune.n_processes", f"{tune.n_processes} does not divide the {batch_size} rows of an update"


def _grid_names(params: Params) -> Iterator[Problem]:
    grid = params.grid
    for key, names, known in (
        ("grid.domains", grid.domains, list(params.domains)),
        ("grid.train_domains", grid.train_domains, [*grid.domains, "both"]),
        ("grid.controls", grid.controls, list(CONTROLS)),
        ("grid.baselines", grid.baselines, list(params.baselines.models)),
        ("grid.prompts", grid.prompts, prompt_names()),
        ("icl.demonstrated_prompts", params.icl.demonstrated_prompts, prompt_names()),
        ("icl.extended_prompts", params.icl.extended_prompts, prompt_names()),
        ("grid.icl_models", grid.icl_models, OWN_MODELS),
        ("grid.other_models", grid.other_models, list(params.icl.models)),
    ):
        for name in names:
            if name not in known:
                yield key, unknown(name, known)
    for name in params.domains:
        if name.endswith(EXTENDED):
            yield f"domains.{name}", f"{EXTENDED!r} ends the name of the further test set of a domain"
    once = {f"grid.{key}": values for key, values in grid.model_dump(exclude={"weights_seed"}).items() if values}
    once |= {
        "icl.n_demonstrations": params.icl.n_demonstrations,
        "baselines.heads": params.baselines.heads,
        "probe.inputs": params.probe.inputs,
        "memory.domains": params.memory.domains,
        "efficiency.configurations": tuple(entry.name for entry in params.efficiency.configurations),
    }
    for key, values in once.items():
        if len(set(values)) != len(values):
            yield key, f"a value stands twice in {list(values)}"
    if (grid.icl_models or grid.other_models) and 0 not in params.icl.n_demonstrations:
        for prompt in grid.prompts:
            if prompt not in params.icl.demonstrated_prompts:
                problem = f"without 0 the prompt {prompt!r}, which is none of icl.demonstrated_prompts, is never asked"
                yield "icl.n_demonstrations", problem
    if grid.every_seed[: len(grid.seeds)] != grid.seeds:
        expected = ", ".join(map(str, grid.seeds))
        yield "grid.cheap_seeds", f"expected null, or [{expected}, ...] as in grid.seeds, got {list(grid.every_seed)}"
    if "both" in grid.train_domains and len(grid.domains) < 2:
        yield "grid.train_domains", "'both' needs two domains in grid.domains"


def _scales(params: Params) -> Iterator[Problem]:
    for name, section in params.domains.items():
        lowest, highest = format_module(section.format).SCALE
        if not lowest <= section.liked_above < highest:
            problem = f"ratings go from {lowest:g} to {highest:g}, so all would be of one class"
            yield f"domains.{name}.liked_above", f"{problem}; expected {lowest:g} or more and below {highest:g}"


def _sources(params: Params) -> Iterator[Problem]:
    for name, section in params.domains.items():
        if section.source == "local" and not hasattr(format_module(section.format), "files"):
            yield f"domains.{name}.source", f"{section.format} reads published files alone; ratings-table reads others"


def _world(params: Params) -> Iterator[Problem]:
    populations = params.world.populations
    for data_format, population in populations.items():
        key, (fewest, most) = f"world.populations.{data_format}", population.ratings_per_user
        if data_format not in FORMATS:
            yield key, unknown(data_format, FORMATS)
        if fewest > most:
            yield f"{key}.ratings_per_user", f"expected the fewest, then the most, got [{fewest}, {most}]"
    for name, section in params.domains.items():
        if section.source == "embedded" and section.format not in populations:
            yield f"world.populations.{section.format}", f"missing, and domain {name!r} is embedded"


def _grid_sizes(params: Params) -> Iterator[Problem]:
    for domain in params.grid.domains:
        section = params.domains[domain]
        # Only formats whose files have a known size can tell before they are read.
        max_n_shots = getattr(format_module(section.format), "max_n_shots", None)
        n_train = max_n_shots(section) if max_n_shots else None
        if n_train is not None and max(params.grid.n_shots) > n_train:
            asked = max(params.grid.n_shots)
            yield "grid.n_shots", f"{asked} is more than the {n_train} training samples of domain {domain!r}"


def _external(params: Params) -> Iterator[Problem]:
    test_sets = [name for domain in params.grid.domains for name in params.test_sets(domain)]
    taken = (*CONTROLS, *params.baselines.models, "icl", "tallrec", "rt")
    seen: dict[Cell, bool] = {}
    for number, entry in enumerate(params.external):
        key, group = f"external.{number}", group_of(entry.cell)
        if entry.name.split("-")[0] in taken:
            yield f"{key}.name", f"{entry.name!r} would look like a method of this benchmark; call it otherwise"
        if entry.test_domain not in test_sets:
            yield f"{key}.test_domain", unknown(entry.test_domain, test_sets)
        if [other.cell for other in params.external].count(entry.cell) > 1:
            yield key, f"{entry.cell} stands twice"
        if group in seen and not (entry.is_seeded and seen[group]):
            yield f"{key}.seed", f"{entry.name!r} has two, and no seed changes what is not trained and saw no row"
        seen[group] = entry.is_seeded


def _probes(params: Params) -> Iterator[Problem]:
    grid = params.grid
    variants = [f"{recipe}-{train_domain}" for recipe in grid.recipes for train_domain in grid.train_domains]
    for key, names, known in (
        ("probe.variants", params.probe.variants, variants),
        ("probe.inputs", params.probe.inputs, list(PROBES)),
    ):
        for name in names:
            if not known:
                yield key, "they are of tuned models, and grid.recipes or grid.train_domains is empty; expected []"
            elif name not in known:
                yield key, unknown(name, known)
    if params.probe.variants and not params.probe.inputs:
        yield "probe.inputs", "empty, so that nothing of probe.variants is probed; name inputs, or no variants"
    if params.efficiency.configurations and not grid.recipes:
        yield "efficiency.configurations", "they measure rec-tuning, and grid.recipes is empty; expected []"


def _memory(params: Params) -> Iterator[Problem]:
    for domain in params.memory.domains:
        if domain not in params.grid.domains:
            yield "memory.domains", unknown(domain, params.grid.domains)
        elif params.domains[domain].format != memorisation.FORMAT:
            problem = f"{domain!r} has the format {params.domains[domain].format}, expected {memorisation.FORMAT}"
            yield "memory.domains", f"{problem}, whose lines are asked about; or []"


def prompt_names() -> list[str]:
    """The styles that `grid.prompts` may name: files of `tallrec/prompts/styles/` but those that only probes use."""
    names = sorted(path.stem for path in STYLES_FOLDER.glob("[!_]*.py"))
    return [name for name in names if name not in PROMPT_STYLES.values()]
