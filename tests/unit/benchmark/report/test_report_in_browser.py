"""The report in Chromium, as a reader opens it: at the width of a phone and of a desktop, light and dark.

Needs `chromium` and `chromedriver` (Debian: `apt-get install chromium chromium-driver`) and fails without them.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmark.artifacts import files, paths
from benchmark.methods.probes import PROBES
from benchmark.stages import evaluate, report

pytestmark = pytest.mark.browser

PHONE, DESKTOP = 390, 1440
SCREENS = 8
"""Of 900 pixels, at most, while all is folded."""
REPOSITORY = Path(__file__).parents[4]
every_width = pytest.mark.parametrize("width", [PHONE, DESKTOP])

# Elements that stand out of the window to the right and in no box that scrolls.
OUTSIDE = """
return [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll, nav'))
  .map(e => e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 40));
"""
# Boxes of tables that scroll, by the title of the table.
SCROLLING = """
return [...document.querySelectorAll('.scroll')]
  .filter(e => e.scrollWidth > e.clientWidth).map(e => e.getAttribute('aria-label'));
"""
UNFOLD = """
for (const details of document.querySelectorAll('details')) details.open = true;
for (const box of document.querySelectorAll('th input')) box.checked = true;
"""
# Texts of figures that are cut off, overlap another one of their figure, or are smaller than 9 pixels.
BAD_LABELS = """
const bad = [];
for (const figure of document.querySelectorAll('figure svg[role=img]')) {
  const frame = figure.getBoundingClientRect();
  const texts = [...figure.querySelectorAll('text')];
  const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect(), text]);
  for (const [name, box, text] of boxes) {
    if (box.left < frame.left - 1 || box.right > frame.right + 1) bad.push('cut off: ' + name);
    const size = parseFloat(getComputedStyle(text).fontSize) * frame.width / figure.viewBox.baseVal.width;
    if (size < 9) bad.push('small: ' + name + ' ' + size);
  }
  boxes.forEach(([name, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)
      bad.push('overlap: ' + name + ' and ' + other);
  }));
}
return bad;
"""
# Texts whose contrast to what is behind them is below 4.5 (WCAG 2.1, level AA).
PALE = """
const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
function over(colours) {
  canvas.clearRect(0, 0, 1, 1);
  for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
function luminance(rgb) {
  const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const pale = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
  if (!own || ['TITLE', 'DESC', 'title', 'desc'].includes(element.tagName)) continue;
  const behind = [];
  for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
  const style = getComputedStyle(element);
  const front = element instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [luminance(over([...behind, front])), luminance(over(behind))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) pale.push(element.textContent.slice(0, 30) + ' ' + contrast.toFixed(2));
}
return pale;
"""


class Browser:
    """A headless Chromium behind the WebDriver protocol."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self.client, self.session = client, session

    def call(self, path: str, body: dict[str, Any]) -> Any:
        reply = self.client.post(f"/session/{self.session}/{path}", json=body).json()["value"]
        assert not (isinstance(reply, dict) and "error" in reply), reply
        return reply

    def open(self, page: Path, width: int, scheme: str = "light") -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
        self._command("Emulation.setDeviceMetricsOverride", size)
        self._command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.log("browser")
        self.log("performance")
        self.call("url", {"url": page.as_uri()})
        assert self.run("return innerWidth") == width

    def run(self, script: str) -> Any:
        """What a script gives back."""
        return self.call("execute/sync", {"script": script, "args": []})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since it was last asked for."""
        return self.call("se/log", {"type": kind})

    def _command(self, name: str, params: dict[str, Any]) -> None:
        self.call("goog/cdp/execute", {"cmd": name, "params": params})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if driver is None or binary is None:
        pytest.fail("chromium and chromedriver are not on PATH: apt-get install chromium chromium-driver")
    process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        options = {"binary": binary, "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        # No proxy of the environment: the driver is on this machine.
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            opened = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"]
            assert "sessionId" in opened, opened
            yield Browser(client, opened["sessionId"])
            client.delete(f"/session/{opened['sessionId']}")
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def grid(grid: dict[str, Any]) -> dict[str, Any]:
    """Every K and every baseline of the paper, so that the tables are as wide and as long as they get."""
    return grid | {
        "n_shots": (16, 64, 256),
        "baselines": ("gru4rec", "caser", "sasrec", "dros", "gru_bert", "dros_bert"),
    }


@pytest.fixture(params=["generated data", "the paper's rows"])
def page(request: pytest.FixtureRequest, finished_run: Path) -> Path:
    """A report with every section filled; once with verdicts at length."""
    if request.param == "the paper's rows":
        request.getfixturevalue("on_the_papers_rows")
    assert evaluate.main([]) == 0
    files.write_json(paths.ceiling_file("movie"), {"auc": 0.8912})
    key = "tuned,tallrec-movie,movie,movie,256,0"
    rows = [f"{key},{probe},0.6111,0.5222\n" for probe in PROBES]
    Path("results/probes.csv").write_text(
        f"family,method,train_domain,test_domain,n_shots,seed,probe,auc,uauc\n{''.join(rows)}"
    )
    row = {"name": "4bit", "quantization": "4bit", "micro_batch_size": 32, "gradient_checkpointing": False}
    row |= {"attention": "sdpa", "peak_memory_bytes": 21 * 2**30, "foretold_bytes": 20 * 2**30, "status": "ok"}
    row |= {"samples_per_second": 12.34, "tokens_per_second": 12345, "utilisation": 0.41, "weights": "pretrained"}
    files.write_json(paths.efficiency_file("4bit"), row | {"device": "NVIDIA GeForce RTX 3090"})
    assert report.main([]) == 0
    return finished_run / "results/report.html"


@every_width
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_and_legible(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.open(page, width, scheme)
    assert browser.log("browser") == []  # no error, no warning
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {address for address in asked if not address.startswith("data:")} == {page.as_uri()}

    named = browser.run("return [...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    shown = browser.run(
        "return [...document.querySelectorAll('section')].filter(s => s.offsetHeight > 30).map(s => s.id)"
    )
    assert named == shown
    assert len(named) == 17
    assert browser.run("return document.querySelector('main > section').id") == "summary"
    if width == DESKTOP:
        assert browser.run("return document.documentElement.scrollHeight / 900") <= SCREENS
        assert browser.run("return document.querySelector('nav').getBoundingClientRect().right") < 200
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.run(UNFOLD)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run(OUTSIDE) == []
    assert browser.run(BAD_LABELS) == []
    assert browser.run(PALE) == []
    if width == DESKTOP:
        assert browser.run(SCROLLING) == []


def test_a_wide_table_scrolls_in_its_own_box_on_a_phone(browser: Browser, page: Path) -> None:
    browser.open(page, PHONE)
    assert "Few-shot AUC, movie" in browser.run(SCROLLING)
    name = "document.querySelector('#main tr.main th')"
    browser.run("document.querySelector('#main .scroll').scrollLeft = 300")
    # The name of the method stays in sight.
    assert browser.run(f"return {name}.getBoundingClientRect().left") >= 0


def test_a_link_opens_its_section(browser: Browser, page: Path) -> None:
    browser.open(page, DESKTOP)
    assert browser.run("return document.querySelector('#probes table').checkVisibility()") is False
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")
    browser.run("document.querySelector('nav a[href=\"#probes\"]').click()")
    browser.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.run("return document.querySelector('#probes table').checkVisibility()")
    assert browser.run("return Math.abs(document.querySelector('#probes').getBoundingClientRect().top) < innerHeight")


def _sorted_and_filtered(browser: Browser, table: str, column: int) -> None:
    """A click on a heading sorts, a second one turns the order, and a filter leaves what was tuned."""
    cells = f"[...document.querySelectorAll('{table} tbody:not(.group)')].filter(b => b.checkVisibility())"
    heading = f"document.querySelector('{table} th[data-column=\"{column}\"]')"
    read = f"return {cells}.map(b => parseFloat(b.rows[0].cells[{column}].innerText)).filter(v => !isNaN(v))"
    before = browser.run(read)
    browser.run(f"{heading}.querySelector('button').click()")
    assert browser.run(read) == sorted(before, reverse=True)
    assert browser.run(f"return {heading}.ariaSort") == "descending"
    browser.run(f"{heading}.querySelector('button').click()")
    assert browser.run(read) == sorted(before)
    browser.run(
        "[...document.querySelectorAll('.filters button')].find(b => b.textContent.toLowerCase() === 'tuned').click()"
    )
    left = browser.run(f"return {cells}.map(b => b.rows[0].cells[0].innerText)")
    assert left
    assert all("TALLRec" in name or "RT alone" in name or name == "Bayes ceiling" for name in left)


def test_the_main_table_and_the_figure_sort_filter_and_unfold(browser: Browser, page: Path) -> None:
    browser.open(page, DESKTOP)
    more = "document.querySelector('#main .more')"
    assert browser.run(f"return {more}.checkVisibility()") is False
    browser.run("document.querySelector('#main tbody input').click()")
    assert browser.run(f"return {more}.checkVisibility()")
    assert "scores.parquet" in browser.run(f"return {more}.innerText")
    line = "document.querySelector('.ranking details p.line')"
    assert browser.run(f"return {line}.checkVisibility()") is False
    browser.run("document.querySelector('.ranking summary').click()")
    assert browser.run(f"return {line}.checkVisibility()")
    _sorted_and_filtered(browser, '[data-table="main_movie"]', 2)
    shown = "[...document.querySelectorAll('.ranking [data-family]')].filter(e => e.checkVisibility())"
    assert browser.run(f"return [...new Set({shown}.map(e => e.dataset.family))]") == ["tuned"]


@every_width
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_leaderboard_is_legible_and_sorts_and_filters(browser: Browser, width: int, scheme: str) -> None:
    browser.open(REPOSITORY / "docs/leaderboard.html", width, scheme)
    assert browser.log("browser") == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.run(UNFOLD)
    assert browser.run(OUTSIDE) == []
    assert browser.run(PALE) == []
    _sorted_and_filtered(browser, '[data-table="movie"]', 3)
