"""The pages: links and paths that resolve, and commands, options, presets and verbs that exist."""

import functools
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree

import networkx
import pytest
import typer
from dvc.repo import Repo

from benchmark.cli import app
from benchmark.config.overlays import preset_names
from benchmark.config.pipeline import pipeline_stages
from benchmark.config.reading import read_yaml
from benchmark.report.leaderboard.page import write_leaderboard
from benchmark.report.numbers.pages import line_of, wrong_numbers
from benchmark.report.numbers.sources import cited
from benchmark.statistics.results import read_rows

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
CODE = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
KEPT = ("baselines/", "benchmark/", "docs/", "tallrec/", "tests/", ".github/", ".ci/")
"""Folders of the repository whose files a page may name; what a run writes is not there."""
WRITTEN = {"docs/gpu.json"}  # by `make gpu`


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Of every heading, as GitHub makes them; of a page of HTML, its ids."""
    if page.suffix == ".html":
        return set(re.findall(r'\bid="([^"]+)"', page.read_text()))
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command line on a page, in blocks and in running text, without comments and environment."""
    lines = [line for block in CODE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *INLINE.findall(CODE.sub("", text))]:
        for part in re.split(r"&&|\||;", line.split(" #")[0]):
            try:
                words = shlex.split(part)
            except ValueError:  # no command, but text with an apostrophe
                continue
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def unknown_words(text: str) -> list[str]:
    """Words of the commands on a page that mean nothing in this repository, nor by a preset that the page writes."""
    checks = {"make": of_make, "tallrec-bench": of_tallrec_bench, "dvc": of_dvc, "pip": of_pip}
    checks |= dict.fromkeys(("python", "pytest", "torchrun"), of_python)
    made = re.findall(r"^# benchmark/config/presets/(\S+)\.yaml$", text, re.MULTILINE)
    found = [word for program, *words in commands(text) if program in checks for word in checks[program](words)]
    return [word for word in found if word not in made]


def of_make(words: list[str]) -> list[str]:
    verbs = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return [word for word in words if re.fullmatch("[a-z]+", word) and word not in verbs]


def of_tallrec_bench(words: list[str]) -> list[str]:
    verbs = typer.main.get_command(app).commands
    verb, *given = words or ["--help"]
    if verb.startswith("-"):
        return []
    if verb not in verbs:
        return [verb]
    command = verbs[verb]
    while given and given[0] in getattr(command, "commands", {}):  # `export samples`
        command = command.commands[given[0]]
        given = given[1:]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    wrong = [word for word in given if word.startswith("-") and word not in options]
    return wrong + [word for word in given if verb == "use" and word[0] != "-" and word not in preset_names()]


def of_dvc(words: list[str]) -> list[str]:
    keys = [word.split("=")[0] for option, word in pairwise(words) if option == "-S"]
    wrong = [key for key in keys if not has_key(read_yaml(ROOT / "params.yaml"), key)]
    if words[:1] == ["repro"]:
        wrong += [word for word in words[1:] if re.match("[a-z]", word) and word not in stages()]
    return wrong


@functools.cache
def stages() -> set[str]:
    """Every stage of the committed `params.yaml`, and what each is an instance of."""
    with Repo(str(ROOT)) as repo:
        names = {stage.addressing for stage in repo.index.stages}
    return names | {name.split("@")[0] for name in names} | {*pipeline_stages(ROOT)}


def has_key(content: object, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def of_pip(words: list[str]) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [extra for word in words if (found := re.fullmatch(r"\.\[(.+)\]", word)) for extra in found[1].split(",")]
    return [extra for extra in extras if extra not in project["optional-dependencies"]]


def of_python(words: list[str]) -> list[str]:
    files = [word.split("::")[0] for word in words if word.startswith(KEPT)]
    after = [module for option, module in pairwise(words) if option == "-m"]
    files += [f"{module.replace('.', '/')}.py" for module in after if f"{module.split('.')[0]}/" in KEPT]
    return [file for file in files if not ((ROOT / file).exists() or (ROOT / file[:-3] / "__main__.py").exists())]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path):
    broken = []
    for link in (match[1] or match[2] for match in LINK.finditer(CODE.sub("", page.read_text()))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path):
    named = [word.split("::")[0] for word in INLINE.findall(CODE.sub("", page.read_text())) if word.startswith(KEPT)]
    patterns = [re.sub(r"<[^>]*>", "*", word) for word in named if " " not in word]
    assert not [word for word in patterns if word not in WRITTEN and not list(ROOT.glob(word.rstrip("/")))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path):
    assert unknown_words(page.read_text()) == []


def test_the_readme_is_one_page():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900


def test_a_command_that_does_not_exist_is_found():
    page = """
`make tets`, `tallrec-bench pln --memory 24GB`, `dvc repro tume@x`, `pip install -e '.[dev,extra]'`

```
HF_HUB_OFFLINE=0 .venv/bin/tallrec-bench use papr --chek  # a comment
python -m benchmark.stages.tunes && pytest tests/no_such.py::test
dvc exp run -n x -S tune.n_process=2
```
"""
    found = ["papr", "--chek", "benchmark/stages/tunes.py", "tests/no_such.py", "tune.n_process"]
    assert sorted(unknown_words(page)) == sorted([*found, "tets", "pln", "tume@x", "extra"])


def test_decisions_are_numbered_without_a_gap():
    numbers = [int(path.name[:3]) for path in sorted((ROOT / "docs/decisions").iterdir())]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_graph_of_the_map_is_that_of_the_pipeline():
    block = re.search(r"```mermaid\nflowchart LR\n(.*?)```", (ROOT / "docs/map.md").read_text(), re.DOTALL)
    assert block
    drawn = networkx.DiGraph()
    for line in block[1].splitlines():
        chain = [part.split(" & ") for part in line.strip().split(" --> ")]
        drawn.add_edges_from((a, b) for before, after in pairwise(chain) for a in before for b in after)
    pipeline = networkx.DiGraph()
    stages = pipeline_stages(ROOT)
    for name, stage in stages.items():
        # A file that params.yaml names is the user's, and no stage writes it.
        read = [path_of(dependency) for dependency in stage["deps"] if not str(dependency).startswith("${")]
        for other in stages:
            written = [path_of(out) for kind in ("outs", "metrics", "plots") for out in stages[other].get(kind, [])]
            if other != name and any(a.is_relative_to(b) or b.is_relative_to(a) for a in read for b in written):
                pipeline.add_edge(other, name)
    # The drawing leaves out what follows from its other arrows.
    assert set(networkx.transitive_closure(drawn).edges) == set(networkx.transitive_closure(pipeline).edges)


def path_of(entry: str | dict[str, object]) -> Path:
    """Of a dependency or an output, up to what the matrix fills in."""
    name = entry if isinstance(entry, str) else next(iter(entry))
    return Path(name.split("${")[0])


@pytest.mark.parametrize("domain", ["movie", "book"])
def test_the_figure_of_the_findings_shows_the_kept_ledger(domain: str):
    """A change that renews the one renews the other."""
    figure = ElementTree.parse(ROOT / f"docs/figures/ablation-{domain}.svg").findtext("{*}desc")
    shown = re.findall(r"(?:K \d+|AT alone:) [\d.]+", figure or "")
    rows = [row for row in read_rows(ROOT / "tests/smoke/ledger/metrics.csv") if row.cell.test_domain == domain]

    def mean(method: str, n_shots: int) -> str:
        found = [row.auc for row in rows if (row.cell.method, row.cell.n_shots) == (method, n_shots) and row.auc]
        return f"{100 * fmean(found):.1f}"

    tuned = [f"K {k} {mean(f'{recipe}-{domain}', k)}" for recipe in ("tallrec", "rt") for k in (16, 64)]
    assert shown == [*tuned, f"AT alone: {mean('icl-alpaca-released', 0)}"]


def test_the_figure_of_the_readme_shows_the_look_that_git_holds():
    """`cp scratch/look/results/figures/overview-movie.svg docs/figures/look-movie.svg` renews it."""
    figure = ElementTree.parse(ROOT / "docs/figures/look-movie.svg").findtext("{*}desc")
    shown = re.findall(r"(\w[\w-]*): ([\d.]+ \[[^]]*\])", figure or "")
    controls = ("random", "liked_share", "last_label")
    expected = [
        (
            method,
            cited(
                f"look {method} movie {0 if method in controls else 256} [1]", {"look": ROOT / "docs/results/look"}
            ).text,
        )
        for method, _ in shown
    ]
    assert len(shown) > 5
    assert shown == expected


def test_the_numbers_are_those_of_the_files_that_they_are_from(monkeypatch: pytest.MonkeyPatch):
    """`python -m benchmark.report.numbers --write` mends one that is not."""
    monkeypatch.chdir(ROOT)
    wrong, problems = wrong_numbers()
    assert [*map(line_of, wrong), *problems] == []


def test_every_run_that_git_holds_is_whole_and_on_the_leaderboard(monkeypatch: pytest.MonkeyPatch):
    """`tallrec-bench submit` and `tallrec-bench leaderboard` write what this reads."""
    monkeypatch.chdir(ROOT)
    assert write_leaderboard(check=True)
