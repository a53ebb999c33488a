"""The report: one self-contained page that shows what was run and says what was not."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmark.artifacts import files, paths
from benchmark.artifacts.provenance import run_file
from benchmark.config.params import Params
from benchmark.report.export import table_tex
from benchmark.report.finding import findings
from benchmark.report.inputs import read_inputs
from benchmark.report.tables.form import DASH, Entry, Row, Table
from benchmark.report.tables.published import verdict_counts
from benchmark.schema import Cell, Prediction
from benchmark.stages import evaluate, report
from benchmark.statistics.auc import chance_auc
from benchmark.statistics.results import read_rows
from benchmark.verdicts.paper import load_paper

CELL = Cell("baseline", "gru4rec", "movie", "movie", 16, 1)
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "link", "br", "input"}
TALLREC = "TALLRec (tiny LM)"


class _Page(HTMLParser):
    """Checks nesting, and collects text, addresses and the names of elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.names: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _make(arguments: list[str] | None = None) -> _Page:
    assert evaluate.main(arguments or []) == 0
    return _report()


@pytest.fixture
def page(finished_run: Path, once: Callable[[str, Callable[[], object]], None]) -> _Page:
    """The page of the small run as it is. The working directory is that of the run."""
    assert finished_run == Path.cwd()
    once("page", _make)
    return _page()


def _report() -> _Page:
    assert report.main([]) == 0
    return _page()


def _page() -> _Page:
    read = _Page(Path("results/report.html").read_text())
    assert read.open == []
    return read


def _table(name: str) -> dict[str, dict[str, str]]:
    """The lines of a table that was exported, by their first column."""
    with Path(f"results/tables/{name}.csv").open() as stream:
        return {line["name"]: line for line in csv.DictReader(stream)}


def test_the_page_is_one_file_and_asks_for_nothing(finished_run: Path, page: _Page) -> None:
    assert finished_run.exists()
    outside = [address for address in page.addresses if not address.startswith(("#", "data:"))]
    assert outside == []
    html = Path("results/report.html").read_text()
    assert re.findall("<script[^>]*>", html) == ["<script>"]
    assert not re.search(r"url\(|@import|import\(|fetch\(", html)
    assert len(page.ids) == len(set(page.ids))
    sections = {address[1:] for address in page.addresses if address.startswith("#")}
    assert len(sections) == 16  # all but the probes, of which nothing was run
    assert sections == set(re.findall('<section id="([^"]+)">', html))


@pytest.mark.usefixtures("page")
def test_every_figure_has_a_text_alternative(finished_run: Path) -> None:
    html = Path("results/report.html").read_text()
    figures = re.findall(r'<svg viewBox="[^"]+" role="img" aria-labelledby="(\S+) (\S+)">', html)
    # Ablation and in-context learning of two domains, and the users of the two test sets that have several rows of one.
    assert len(figures) == 6
    for title, text in figures:
        assert re.search(rf'<title id="{title}">[^<]+</title>', html)
        assert re.search(rf'<desc id="{text}">[^<]*\d\d\.\d( \[|, \d of \d users)', html)
    assert finished_run.exists()


def test_every_figure_is_a_file_too(finished_run: Path) -> None:
    (finished_run / "results/figures").mkdir(parents=True)
    (finished_run / "results/figures/of-an-earlier-run.svg").touch()
    _make()
    html = Path("results/report.html").read_text()
    files_of_figures = sorted(Path("results/figures").iterdir())
    drawn = {f"{plot}-{domain}.svg" for plot in ("overview", "ablation", "icl") for domain in ("movie", "book")}
    assert {path.name for path in files_of_figures} == drawn | {"users-movie.svg", "users-movie-extended.svg"}
    for path in files_of_figures:
        root = ElementTree.fromstring(path.read_text())
        title, text = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
        if path.stem.startswith("overview"):  # the page has it as rows of text, which unfold
            assert f"<figcaption>{title}</figcaption>" in html
        else:
            assert f'<title id="{path.stem}-title">{title}</title>' in html
            assert f'<desc id="{path.stem}-text">{text}</desc>' in html
        assert not re.search(r"url\(|href|@import|<script", path.read_text())
        *_, height = (float(number) for number in root.attrib["viewBox"].split())
        # What is drawn ends above the lower edge: the legend's last entry, the labels of the axis.
        assert max(_bottoms(root)) < height
        if path.stem.startswith("ablation"):
            names = [element.text for element in root.iter(f"{SVG}text")]
            assert names[-3:] == ["TALLRec (AT, then RT)", "RT alone", "AT alone"]


def _bottoms(element: ElementTree.Element, top: float = 0) -> Iterator[float]:
    moved = re.search(r"translate\(\S+ (\S+)\)", element.get("transform", ""))
    top += float(moved.group(1)) if moved else 0
    yield top + float(element.get("y", "0").rstrip("%"))
    for child in element:
        yield from _bottoms(child, top)


def test_generated_data_and_a_tiny_model_are_said_first(finished_run: Path, page: _Page) -> None:
    head, _, _ = page.text.partition("Claims ledger")
    assert "The data of movie and book are generated" in head
    assert "not the paper's LLaMA-7B" in head
    assert "The data of movie and book are generated" in (finished_run / "results/report.md").read_text()
    ledger = json.loads(Path("results/claims.json").read_text())
    assert ledger["generated_domains"] == ["movie", "book"]
    of_model = {claim["verdict"] for claim in ledger["claims"] if claim["model"]} & {"supported", "contradicted"}
    summary = page.text.partition("Claims ledger")[2].partition("Numbers of the paper")[0]
    for verdict in of_model:
        assert f" {verdict} for another model" in summary
    assert of_model, "the small run decides a claim on its own model"


def test_stand_in_data_are_said_first(finished_run: Path) -> None:
    path = paths.prepared_folder("book") / "stats.json"
    stats = files.read_json(path)
    stats["notes"]["stand_in"] = {"train.json": "train.sample.json"}
    files.write_json(path, stats)
    head, _, _ = _make().text.partition("Claims ledger")
    assert "book: train.sample.json stands in for train.json" in head
    assert "train.sample.json stands in" in (finished_run / "results/report.md").read_text()


@pytest.mark.usefixtures("page")
def test_a_tuning_at_chance_is_said_first(finished_run: Path) -> None:
    tuned = next(row.cell for row in read_rows(paths.METRICS_CSV) if row.cell.method == "tallrec-movie")
    files.write_json(run_file(tuned, "runs/tune"), {"best_auc": 0.51, "n_steps": 20})
    baseline = replace(CELL, seed=0)
    files.write_json(run_file(baseline), {"valid_auc": 0.52, "n_updates": 100})
    rows = files.read_labelled(paths.prepared_folder("movie") / "valid.parquet")
    labels, users = [row.liked for row in rows], [row.sample.user_id for row in rows]
    text = " ".join(_report().text.split())
    for cell, best, n_looks, cells in ((tuned, 0.51, 4, "tuned cells"), (baseline, 0.52, 20, "cells of baselines")):
        said = f"({100 * best:.1f}, chance up to {100 * chance_auc(labels, users, n_looks):.1f})"
        assert f"The validation AUC (x100) never left chance in 1 of the {cells}: {cell} {said}." in text


def test_stand_in_rows_give_no_plain_match_and_independent_runs_stand_beside_it(
    on_the_papers_rows: Path,
) -> None:
    page = _make()
    verdicts = {}
    for domain in ("movie", "book"):
        with (on_the_papers_rows / f"results/tables/main_{domain}.csv").open() as stream:
            lines = {line["name"]: line for line in csv.DictReader(stream)}
        verdicts[domain] = {lines[name]["k16_verdict"] for name in ("gru4rec", "TALLRec (LLaMA-7B)")}
    judged = ("equivalent", "at chance", "different", "cannot tell")
    # Of the values of smoke, many decide a score and are not the paper's.
    assert verdicts["movie"] | verdicts["book"] <= {f"{verdict} with reservation" for verdict in judged}
    inputs = read_inputs()
    counts = verdict_counts(inputs, load_paper())["published"]
    assert sum(counts[f"{verdict} with reservation"] for verdict in judged) > 0
    assert not any(counts[verdict] for verdict in judged), "what never is a plain verdict never counts as one"
    *_, setting, counted = findings(inputs, load_paper())
    assert " with reservation)" in counted
    assert setting == (
        "The paper's model was run at K = 16, with values that are not the paper's: LLaMA-7B, tested on the paper's "
        "rows of book and movie."
    )
    lost = {group: None if group.test_domain == "book" else summary for group, summary in inputs.groups.items()}
    *_, setting, _ = findings(replace(inputs, groups=lost), load_paper())
    assert setting.endswith("tested on the paper's rows of movie.")
    assert "; stand-in training rows; " in page.text
    assert "; fidelity.draw: shared, the paper's released" in page.text
    ledger = {claim["id"]: claim for claim in json.loads(Path("results/claims.json").read_text())["claims"]}
    compared = ledger["published_beats_controls"]["evidence"]
    # The grid has K = 4 and 16; published are 16, 64, 256, each against two rules without training on two domains.
    assert len(compared) == 12
    assert {item["interval"] for item in compared} == {"published value"}
    assert "independent, fair trust: 57.80, 69.96" in page.text
    with (on_the_papers_rows / "results/tables/independent_runs.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == len(load_paper().independent_runs)
    assert all(line["trust"] for line in lines)
    known = next(line for line in lines if (line["theirs"], line["K"]) == ("69.96", "16"))
    assert (known["paper"], known["seed"]) == ("67.24", "1234")
    assert re.match(r"\d\d\.\d\d \[", known["ours"])
    assert next(line for line in lines if line["theirs"] == "46.37")["ours"] == ""


def test_a_missing_result_is_missing_everywhere(finished_run: Path) -> None:
    for seed in (0, 1):
        cell = Cell("baseline", "gru4rec", "movie", "movie", 16, seed)
        shutil.rmtree(finished_run / paths.cell_folder("predictions", cell))
    page = _make(["--partial"])
    assert "2 of 123 cells have no valid result" in page.text
    with (finished_run / "results/tables/main_movie.csv").open() as stream:
        lines = {line["name"]: line for line in csv.DictReader(stream)}
    assert (lines["gru4rec"]["k16_ours"], lines["gru4rec"]["k16_verdict"]) == ("missing", "missing")
    assert lines["gru4rec"]["k16_paper"] == "49.07"
    assert re.match(r"\d\d\.\d\d \[", lines["gru4rec"]["k4_ours"])
    assert "caser" not in lines  # the paper has it, the grid does not
    assert "The paper also has K = 64, 256 and caser, sasrec" in page.text
    assert f"{CELL}: missing" in page.text


@pytest.mark.usefixtures("page")
def test_a_figure_without_a_point_is_not_drawn(finished_run: Path) -> None:
    figures = {name for kind in ("ablation", "icl") for name in (f"{kind}-movie.svg", f"{kind}-book.svg")}
    assert figures <= {file.name for file in Path("results/figures").iterdir()}
    for family in ("icl", "tuned"):
        for folder in (finished_run / "predictions" / family).glob("**/*-movie"):
            shutil.rmtree(folder)
    fewer = _make(["--partial"])
    drawn = {file.name for file in Path("results/figures").iterdir()}
    assert figures & drawn == {"ablation-book.svg", "icl-book.svg"}
    assert "What each stage of tuning gives, movie" not in fewer.text


@pytest.mark.usefixtures("page")
def test_the_numbers_are_those_of_metrics_csv(finished_run: Path) -> None:
    rows = [row for row in read_rows(paths.METRICS_CSV) if row.cell.method == "tallrec-movie"]
    aucs = [row.auc for row in rows if row.cell.test_domain == "movie" and row.cell.n_shots == 16]
    assert len(aucs) == 2
    with (finished_run / "results/tables/main_movie.csv").open() as stream:
        line = next(line for line in csv.DictReader(stream) if line["name"] == TALLREC)
    assert line["k16_ours"].startswith(f"{50 * sum(auc for auc in aucs if auc):.2f} [")
    assert (line["k16_paper"], line["k16_verdict"]) == (DASH, "")  # its own row, not the paper's
    papers = _table("main_movie")["TALLRec (LLaMA-7B)"]
    assert (papers["k16_paper"], papers["k16_ours"]) == ("67.24", "not run")


def test_differences_calibration_and_audit_are_shown(finished_run: Path, page: _Page) -> None:
    with (finished_run / "results/tables/differences_movie.csv").open() as stream:
        lines = {line["name"]: line for line in csv.DictReader(stream)}
    rows = read_rows(paths.METRICS_CSV)
    means = [
        sum(row.auc or 0 for row in rows if (row.cell.method, row.cell.test_domain, row.cell.n_shots) == key) / 2
        for key in (("tallrec-movie", "movie", 16), ("gru4rec", "movie", 16))
    ]
    assert re.fullmatch(
        re.escape(f"{100 * (means[0] - means[1]):+.1f}") + r" ± \d+\.\d · p (< )?\d\.\d{3}",
        lines["gru4rec"][f"{TALLREC} minus it, K=16"],
    )
    assert lines["gru4rec"]["it minus liked_share, K=16"] != "\u2013"
    assert lines["liked_share"]["it minus liked_share, K=16"] == "\u2013"
    assert "A constant at the like rate of the test set has a log-loss of 0." in page.text
    with (finished_run / "results/tables/audit.csv").open() as stream:
        facts = {line["name"]: line["movie"] for line in csv.DictReader(stream)}
    assert facts["test"] == "not known"  # the last of that name: its time
    assert facts["neighbouring rows, the first one's answer in the second's history"] == "0 of 59"
    assert facts["K=16"] == "100.00 %"
    assert "On book zeros are dislikes" in page.text
    assert "leak" not in " ".join(facts)
    seen = re.findall(r"Seen in 80% of runs: a true (\d+\.\d) at best, a true (\d+\.\d) at worst", page.text)
    assert len(seen) == 5  # three metrics, of which the one within users is not defined on book
    assert all(0 < float(best) <= float(worst) for best, worst in seen)


def test_without_what_evaluate_did_not_write_yet_the_page_stands(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    for name in ("differences.csv", "estimates.csv", "calibration.csv", "audit.json"):
        (finished_run / "results" / name).unlink()
    assert not {"#calibration", "#audit"} & set(_report().addresses)


def test_without_influences_the_report_says_what_to_run(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([]) == 0
    (finished_run / "results/influence.parquet").unlink()
    capsys.readouterr()
    assert report.main([]) == 2
    assert capsys.readouterr().err == "error: results/influence.parquet: not there; `dvc repro` makes it\n"


def test_one_seed_has_no_margin_in_any_table_or_figure(
    finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_seed = params.model_copy(update={"grid": params.grid.model_copy(update={"seeds": (0,)})})
    for stage in ("benchmark.stages.evaluate", "benchmark.report.inputs"):
        monkeypatch.setattr(f"{stage}.load_config", lambda: one_seed)
    _make()
    main, beside = _table("main_movie"), _table("within_users_movie")
    assert re.fullmatch(r"\d\d\.\d\d one seed", main["gru4rec"]["k16_ours"])
    assert re.fullmatch(r"\d\d\.\d\d one seed", main[TALLREC]["k16_ours"])
    # A rule has no seed; on the full training set nothing is drawn.
    assert re.fullmatch(r"\d\d\.\d\d \[\S+, \S+\]", main["liked_share"]["k16_ours"])
    controls = _table("controls_movie")["item_mean"]
    assert controls["K=16"].endswith("one seed")
    assert re.search(r" \[\S+, \S+\]$", controls["all 100 rows"])
    for metric in ("AUC", "AUC at equal share", "UAUC", "UAUC by pairs"):
        assert re.fullmatch(r"\d+\.\d\d one seed", beside["gru4rec"][metric])
        assert re.fullmatch(r"\d+\.\d\d \[\S+, \S+\]", beside["liked_share"][metric])
    differences = _table("differences_movie")["gru4rec"]
    assert re.fullmatch(r"[+-]\d+\.\d one seed", differences[f"{TALLREC} minus it, K=16"])
    assert re.fullmatch(r"[+-]\d+\.\d one seed", differences["it minus liked_share, K=16"])
    described = Path("results/figures/overview-movie.svg").read_text()
    assert re.search(r"gru4rec: \d\d\.\d(;|<)", described)
    assert re.search(r"liked_share: \d\d\.\d \[", described)
    ledger = {claim["id"]: claim for claim in json.loads(Path("results/claims.json").read_text())["claims"]}
    for compared in ledger["beats_baselines"]["evidence"]:
        assert (compared["interval"], compared["margin"], compared["verdict"]) == ("one seed", None, "inconclusive")
    assert finished_run.exists()


def test_draws_that_fail_are_counted_beside_the_median(finished_run: Path) -> None:
    """A mean of 60 may be draws of 70 and one at 30, which nobody would guess from it."""
    labels = files.read_labels(paths.labels_file("movie"))
    for seed, is_right in ((0, True), (1, False)):
        cell = replace(CELL, seed=seed)
        scores = [Prediction(i, float(answer is is_right)) for i, answer in sorted(labels.items())]
        files.write_predictions("predictions", cell, scores)
    _make()
    shown = _table("main_movie")["gru4rec"]["k16_ours"]
    assert shown.startswith("50.00 [0.0, 100.0]")  # two seeds cannot tell more, and no AUC lies beyond
    assert shown.endswith("sd 70.7 · median 50.0, 1 of 2 below chance")
    with (finished_run / "results/estimates.csv").open() as stream:
        line = next(
            line
            for line in csv.DictReader(stream)
            if (line["method"], line["test_domain"], line["n_shots"], line["metric"])
            == ("gru4rec", "movie", "16", "auc")
        )
    assert (line["median"], line["n_seeds_below_half"]) == ("0.5", "1")
    # Nothing is said where no draw fails, or where the method is simply below chance.
    assert "median" not in _table("main_movie")[TALLREC]["k16_ours"]


def test_every_metric_beside_auc_has_an_interval(finished_run: Path, page: _Page) -> None:
    for domain in ("movie", "book"):
        for name, line in _table(f"within_users_{domain}").items():
            for metric in ("AUC at equal share", "UAUC", "UAUC by pairs"):
                is_defined = domain == "movie" or metric == "AUC at equal share"
                expected = r"\d+\.\d\d \[\S+, \S+\]" if is_defined else "not defined"
                assert re.fullmatch(expected, line[metric]), (name, metric)
    assert "UAUC by pairs: the same, each pair counting alike." in page.text
    assert finished_run.exists()


@pytest.mark.usefixtures("page")
def test_p_values_are_corrected_for_their_table(finished_run: Path) -> None:
    with (finished_run / "results/differences.csv").open() as stream:
        line = next(
            line
            for line in csv.DictReader(stream)
            if (line["left_method"], line["right_method"], line["metric"]) == ("gru4rec", "liked_share", "auc")
            and (line["left_n_shots"], line["test_domain"]) == ("16", "movie")
        )
    value, low, high, p = (float(line[name]) for name in ("difference", "low", "high", "p_adjusted"))
    shown = _table("differences_movie")["gru4rec"]["it minus liked_share, K=16"]
    assert shown == f"{100 * value:+.1f} ± {50 * (high - low):.1f} · p {p:.3f}"
    assert p > float(line["p_value"])


def test_names_from_outside_are_escaped_in_both_reports(
    finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    llm = params.llm.model_copy(update={"model": planted})
    lora = params.lora.model_copy(update={"target_modules": (planted,)})
    probe = params.model_copy(update={"llm": llm, "lora": lora})
    monkeypatch.setattr("benchmark.report.inputs.load_config", lambda: probe)
    page = _make()
    assert page.names.count("script") == 1
    assert "img" not in page.names
    assert planted in page.text
    for written in Path("results").rglob("*"):
        if written.suffix in (".html", ".md", ".svg"):
            assert "<script>alert" not in written.read_text()
            assert "<img" not in written.read_text()
    assert "&lt;script>alert(1)" in Path("results/report.md").read_text()


def test_text_from_outside_is_escaped(finished_run: Path) -> None:
    path = paths.prepared_folder("book") / "stats.json"
    stats = files.read_json(path)
    stats["notes"]["title"] = "<script>alert(1)</script> & more"
    files.write_json(path, stats)
    page = _make()
    assert page.names.count("script") == 1
    assert "<script>alert(1)</script> & more" in page.text
    assert finished_run.exists()


def test_cost_probes_memory_and_the_ceiling_show_up_once_they_are_there(finished_run: Path, params: Params) -> None:
    record = {"wall_seconds": 1.5, "peak_memory_bytes": 2**30, "device": "a device", "n_updates": 100}
    files.write_json(run_file(CELL), record | {"commit": "abc123", "is_dirty": True})
    carried_over = Cell("tuned", "tallrec-movie", "movie", "book", 16, 1)
    files.write_json(run_file(carried_over), {"wall_seconds": 2.0, "peak_memory_bytes": 2**30, "n_tokens": 5000})
    adapter = replace(carried_over, test_domain="movie")
    files.write_json(run_file(adapter, "runs/tune"), {"wall_seconds": 40.0, "peak_memory_bytes": 2**31, "n_steps": 20})
    files.write_json(paths.ceiling_file("movie"), {"auc": 0.8912})
    assert evaluate.main([]) == 0
    Path("results/probes.csv").write_text(
        "family,method,train_domain,test_domain,n_shots,seed,probe,auc,uauc\n"
        "tuned,tallrec-movie,movie,movie,16,0,no_history,0.6111,\n"
        "tuned,tallrec-movie,movie,movie,16,1,no_history,0.6333,\n"
        "tuned,tallrec-movie,movie,movie,16,0,dislike_asked,0.2,0.3\n"
        "tuned,tallrec-movie,movie,movie,16,1,dislike_asked,0.3,0.5\n"
        "tuned,tallrec-movie,movie,movie,16,0,title_removed,,\n"
        "tuned,tallrec-movie,movie,movie,16,1,title_removed,0.6,0.6\n"
        "baseline,gru4rec,movie,movie,16,0,no_history,0.5,0.4\n"
    )
    row = {"name": "4bit", "quantization": "4bit", "micro_batch_size": 32, "gradient_checkpointing": False}
    files.write_json(paths.efficiency_file("4bit"), row | {"status": "does not fit"})
    lock = "stages:\n  baselines@movie:\n    outs:\n    - path: predictions/baseline/movie-movie/gru4rec\n"
    Path("dvc.lock").write_text(lock)
    page = _report()
    assert "89.12" in page.text
    with (finished_run / "results/tables/probes.csv").open() as stream:
        probed, baseline = csv.DictReader(stream)
    assert baseline["no history"] == "50.00 UAUC 40.00"
    assert baseline["dislike asked"] == DASH  # it is asked no question
    assert probed["no history"] == "62.22 UAUC not defined"
    assert probed["title removed"] == "missing"
    consistent = f"{100 - float(probed['unchanged'].split()[0]):.2f}"
    assert probed["dislike asked"] == f"25.00 UAUC 40.00 · consistent: {consistent}"
    assert "does not fit" in page.text
    assert "1 cells ran on code that was not committed" in page.text
    assert "dvc repro baselines@movie" in page.text
    with (finished_run / "results/cost.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 123
    known = [line for line in lines if line["seconds"]]
    names = ("seconds", "tuning_seconds", "tokens_per_second", "peak_memory_bytes", "n_steps")
    assert [tuple(line[name] for name in names) for line in known] == [
        ("1.5", "", "", str(2**30), "100"),
        ("2.0", "40.0", "2500.0", str(2**31), "20"),
    ]
    costs = files.read_json(paths.COST_JSON)["cost"]
    assert costs["tallrec-movie"]["tuning_seconds"] == 40.0
    assert costs[CELL.method]["seconds"] == 1.5
    with (finished_run / "results/tables/cost.csv").open() as stream:
        beside = {line["name"]: line for line in csv.DictReader(stream)}
    row = beside[f"{TALLREC}, tuned on movie on book"]
    assert (row["K"], row["tuning s"], row["predicting s"], row["tokens/s"], row["peak MiB"]) == (
        *("16", "40.00", "2.00", "2,500", "2,048"),
    )
    assert 0 < float(row["AUC"]) < 100
    assert params.grid.seeds == (0, 1)


@pytest.mark.usefixtures("page")
def test_every_table_is_written_as_csv_and_latex(finished_run: Path) -> None:
    names = {path.name for path in (finished_run / "results/tables").iterdir()}
    assert {name[:-4] for name in names if name.endswith(".csv")} == {
        name[:-4] for name in names if name.endswith(".tex")
    }
    assert len(names) == 2 * (2 + 1 + 2 + 2 + 2 + 2 + 4 + 4 + 2 + 2 + 3 + (3 + 2 + 2))


def test_latex_is_escaped() -> None:
    table = Table("t", "T", ("50 %",), (Row("gru_bert", (Entry("a&b", "x"),)),))
    text = table_tex(table).decode()
    assert r"gru\_bert & a\&b x \\" in text
    assert r" & 50 \% \\" in text


def test_without_metrics_the_report_says_what_to_run(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([]) == 2
    assert capsys.readouterr().err == "error: results/metrics.csv: not there; `dvc repro` makes it\n"
    assert not (finished_run / "results").exists()
