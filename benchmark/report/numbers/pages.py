"""Pages beside their sources: `docs/numbers.yaml` has lines of pages with a source in the place of each number.

A line is looked for with any number in these places, so that one that is wrong is found where it stands. On a page that
is named there, every number with one decimal has a source, or stands in a section or text for which the file says why
it has none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.config.reading import read_yaml, validated
from benchmark.config.values import Section
from benchmark.report.numbers.sources import PATTERNS, cited, form_of

NUMBERS_YAML = Path("docs/numbers.yaml")
PLACE = re.compile(r"\{([^}]+)\}")
NO_RESULT = re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)\s]*\)|<!--.*?-->|<[^>]*>", re.DOTALL | re.MULTILINE)
"""Code, links, comments and tags."""
RESULT = re.compile(r"(?<![\w.\-/:])\d+\.\d(?![\w.]*\w)")
"""A number with one decimal: no version, date or identifier."""


class Page(Section):
    """What `numbers.yaml` says of a page."""

    lines: list[str]
    """Texts of the page, `{SOURCE}` in the place of each number that has one."""
    elsewhere: dict[str, str]
    """Headings of sections, or texts, whose numbers no file here has, and why."""


class Numbers(Section):
    """All of `numbers.yaml`."""

    runs: dict[str, str]
    """Folders of runs, by the names that sources use."""
    pages: dict[str, Page]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A number that is not what its source says."""

    page: str
    start: int
    end: int
    found: str
    expected: str
    source: str
    file: Path


def wrong_numbers(root: Path = Path()) -> tuple[list[Wrong], list[str]]:
    """The numbers that are wrong, and a line for each of what else is: texts not found, numbers without a source.

    Raises:
        BenchmarkError: `numbers.yaml` is malformed, or a source has no such number.
    """
    numbers = validated(Numbers, read_yaml(root / NUMBERS_YAML), NUMBERS_YAML)
    runs = {name: root / folder for name, folder in numbers.runs.items()}
    wrong: list[Wrong] = []
    problems: list[str] = []
    for path, page in numbers.pages.items():
        text = (root / path).read_text(encoding="utf-8")
        covered: list[tuple[int, int]] = []
        for line in page.lines:
            places = _places(text, line)
            if places is None:
                problems.append(f"{NUMBERS_YAML}: {path} has this text not once, whatever its numbers: {line!r:.100}")
                continue
            covered += [(start, end) for start, end, _ in places]
            wrong += _compared(path, text, places, runs)
        for name in page.elsewhere:
            span = _section(text, name)
            if span is None:
                problems.append(f"{NUMBERS_YAML}: {path} has neither this heading nor, once, this text: {name!r:.100}")
            else:
                covered.append(span)
        problems += _without_source(path, text, covered)
    return wrong, problems


def line_of(wrong: Wrong, root: Path = Path()) -> str:
    """What to tell of a wrong number."""
    at = _line_number((root / wrong.page).read_text(encoding="utf-8"), wrong.start)
    file = wrong.file.relative_to(Path.cwd()) if wrong.file.is_relative_to(Path.cwd()) else wrong.file
    return f"{wrong.page}:{at}: {wrong.found}, expected {wrong.expected}: {file} ({wrong.source})"


def mend(wrong: Sequence[Wrong], root: Path = Path()) -> None:
    """Write on the pages what the sources say."""
    for path in {one.page for one in wrong}:
        text = (root / path).read_text(encoding="utf-8")
        for one in sorted((one for one in wrong if one.page == path), key=lambda one: -one.start):
            text = text[: one.start] + one.expected + text[one.end :]
        (root / path).write_text(text, encoding="utf-8")


def _places(text: str, line: str) -> list[tuple[int, int, str]] | None:
    """Where the numbers of a line stand, each with its source; None unless the line stands there once."""
    parts = PLACE.split(line)
    pattern = "".join(
        _spaced(re.escape(part)) if number % 2 == 0 else f"({_spaced(PATTERNS[form_of(part)])})"
        for number, part in enumerate(parts)
    )
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        return None
    return [(*found[0].span(number), source) for number, source in enumerate(parts[1::2], start=1)]


def _spaced(pattern: str) -> str:
    """A pattern that takes the end of a line for a space."""
    return re.sub(r"(?:\\?\s)+", r"\\s+", pattern)


def _compared(
    page: str, text: str, places: Sequence[tuple[int, int, str]], runs: Mapping[str, Path]
) -> Iterator[Wrong]:
    for start, end, source in places:
        found, expected = " ".join(text[start:end].split()), cited(source, runs)
        if found != expected.text:
            yield Wrong(page, start, end, found, expected.text, source, expected.file)


def _section(text: str, name: str) -> tuple[int, int] | None:
    """From a heading to the next of its level or above; or where a text stands, if it does so once."""
    heading = re.search(rf"^(#+) {re.escape(name)}$", text, re.MULTILINE)
    if heading:
        after = re.compile(rf"^#{{1,{len(heading[1])}}} ", re.MULTILINE).search(text, heading.end())
        return heading.start(), after.start() if after else len(text)
    found = list(re.finditer(_spaced(re.escape(name)), text))
    return found[0].span() if len(found) == 1 else None


def _without_source(page: str, text: str, covered: Sequence[tuple[int, int]]) -> Iterator[str]:
    shown = NO_RESULT.sub(lambda match: re.sub(r"\S", " ", match[0]), text)
    for number in RESULT.finditer(shown):
        if not any(start <= number.start() < end for start, end in covered):
            at = _line_number(text, number.start())
            yield f"{page}:{at}: {number[0]} has no source; {NUMBERS_YAML} names one, or says why there is none"


def _line_number(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
