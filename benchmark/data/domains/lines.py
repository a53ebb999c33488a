"""Lines of raw files that strangers wrote: their letters, and what became of each of them."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError, refuse_other_text

Integers = NDArray[np.signedinteger[Any]]

_LOG = logging.getLogger(__name__)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_LEFT_OUT: Mapping[str, float] = {
    "broken_line": 0.05,
    "rating_off_scale": 0.01,
    "unknown_item": 0.25,
    "unknown_isbn": 0.25,
    "duplicate": 0.25,
}
"""Share of the lines of a file that may be left out for what they say; more, and the file is read in a wrong way, or is
another one. The real BookCrossing has a tenth of its ratings on books that it does not list."""


@dataclass(slots=True)
class LineCount:
    """What became of the lines of a file."""

    used: int = 0
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    first: dict[str, int] = field(default_factory=dict[str, int])
    """Number of the first line left out for each reason."""
    example: dict[str, str] = field(default_factory=dict[str, str])
    """What that line says, or what of it is wrong; of those that `tell` has told."""
    not_utf8: int = 0
    """Lines that are no UTF-8, so that their letters were guessed."""
    garbled: int = 0
    """Lines whose letters somebody guessed wrongly before (`CrÃ³nica`, U+FFFD), kept as they are."""

    def leave_out(self, reason: str, lines: Sequence[int] | Integers) -> None:
        """Count lines by their numbers."""
        if len(lines):
            first = min(lines) if isinstance(lines, Sequence) else int(lines.min())
            self.left_out[reason] = self.left_out.get(reason, 0) + len(lines)
            self.first[reason] = min(first, self.first.get(reason, first))

    def leave_out_rating(self, rating: str, scale: tuple[float, float], lines: Sequence[int] | Integers) -> None:
        """Count lines whose rating is a number off the scale, such as `rating`, which stands in the first of them."""
        self.example.setdefault("rating_off_scale", f"{rating!r:.20} lies outside {scale[0]:g} to {scale[1]:g}")
        self.leave_out("rating_off_scale", lines)

    def summary(self) -> dict[str, int]:
        """Lines read, used, and left out for each reason."""
        return {"read": self.used + sum(self.left_out.values()), "used": self.used, **self.left_out}

    def tell(self, path: Path) -> None:
        """Log what of the file at `path` is left out, and of how many lines the letters are guessed or garbled."""
        self._quote(path)
        if any(self.left_out.values()):
            _LOG.warning("%s: %s", path, self)
        if self.not_utf8:
            _LOG.warning("%s: %d lines are no UTF-8, read as Latin-1", path, self.not_utf8)
        if self.garbled:
            _LOG.warning(
                "%s: %d lines hold letters that an earlier reading garbled, kept as they are", path, self.garbled
            )

    def _quote(self, path: Path) -> None:
        """Find what the first line says that is left out for each reason of `MOST_LEFT_OUT`."""
        wanted = {
            number: reason for reason, number in self.first.items() if reason in MOST_LEFT_OUT.keys() - self.example
        }
        if wanted:
            for number, line in numbered_lines(path, LineCount()):
                if number in wanted:
                    self.example[wanted.pop(number)] = f"{line!r:.80}"
                if not wanted:
                    break

    def refuse_large_share(self, path: Path) -> None:
        """Refuse a file of which too much is left out.

        Raises:
            DataError: more lines than `MOST_LEFT_OUT` allows are left out for a reason.
        """
        n_read = self.summary()["read"]
        for reason, most in MOST_LEFT_OUT.items():
            if self.left_out.get(reason, 0) > most * n_read:
                raise DataError(f"{path}: {self}; more than {most:.0%} are {reason}: is it another format or scale?")

    def __str__(self) -> str:
        reasons = [
            f"{count} {reason} (first: line {self.first[reason]}{self._said(reason)})"
            for reason, count in self.left_out.items()
            if count
        ]
        return f"left out {', '.join(reasons) or 'none'} of {self.summary()['read']} lines"

    def _said(self, reason: str) -> str:
        return f", {self.example[reason]}" if reason in self.example else ""


def is_off_scale(rating: str | bytes, scale: tuple[float, float]) -> bool:
    """Whether a rating is a number, of another scale."""
    try:
        return not scale[0] <= float(rating) <= scale[1] and math.isfinite(float(rating))
    except ValueError:
        return False


def numbered_lines(path: Path, count: LineCount) -> Iterator[tuple[int, str]]:
    """Each line with its number, without its end; in UTF-8, or if it is none, as Windows and Latin-1 have it.

    Line by line, so that one odd byte does not put all other titles into wrong letters. How many lines it touched is
    counted in `count.not_utf8`.

    Raises:
        DataError: the file is not there.
    """
    if not path.exists():
        raise DataError(f"{path}: not there; stage `raw` writes it")
    refuse_other_text(path)
    with path.open("rb") as stream:  # as bytes, a line ends in a line feed alone: other ends stand inside titles
        for number, line in enumerate(stream, start=1):
            content = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            content = content.removesuffix(b"\n").removesuffix(b"\r")
            try:
                text = content.decode()
                count.garbled += not content.isascii() and is_garbled(text)
            except UnicodeDecodeError:
                count.not_utf8 += 1
                text = _of_single_bytes(content)
            yield number, text


def is_garbled(text: str) -> bool:
    """Whether a text was read in a wrong encoding and saved so: UTF-8 taken for single bytes, or letters lost."""
    if "\ufffd" in text:
        return True
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode() != text
        except UnicodeError:
            continue
    return False


def _of_single_bytes(content: bytes) -> str:
    try:
        return content.decode("cp1252")  # Latin-1, with letters in the place of control characters
    except UnicodeDecodeError:
        return content.decode("latin-1")
