import io
import sys

import pytest

from benchmark.progress import N_LOG_LINES, OfAll, a_second, progress, spoken


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [4, 7, 60, 1000])
def test_a_log_gets_a_few_lines(capsys: pytest.CaptureFixture[str], total: int) -> None:
    with progress("tune") as tell:
        for done in range(1, total + 1):
            tell(done, total)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == N_LOG_LINES
    assert lines[-1].startswith(f"tune: {total}/{total}, ")
    assert lines[-1].endswith(" 0 s left")


def test_work_in_large_steps_gets_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("encode") as tell:
        for done in range(64, 1000, 64):
            tell(done, 1000)
        tell(1000, 1000)
    assert len(capsys.readouterr().err.splitlines()) == N_LOG_LINES


def test_the_time_left_is_an_estimate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("benchmark.progress.time.perf_counter", lambda: next(clock))
    with progress("tune") as tell:
        tell(1, 4)
    assert capsys.readouterr().err == "tune: 1/4, 10 s, 0.1/s, 30 s left\n"


def test_what_an_earlier_run_has_done_is_no_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 3.0, 23.0, 43.0])
    monkeypatch.setattr("benchmark.progress.time.perf_counter", lambda: next(clock))
    with progress("tune") as tell:
        for done in (401, 601, 801):
            tell(done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "tune: 401/1000, 3 s",
        "tune: 601/1000, 23 s, 10/s, 40 s left",
        "tune: 801/1000, 43 s, 10/s, 20 s left",
    ]


@pytest.mark.parametrize(("speed", "text"), [(0.0123, "0.012/s"), (2.345, "2.3/s"), (1234.5, "1,234/s")])
def test_a_speed_is_a_few_characters(speed: float, text: str) -> None:
    assert a_second(speed) == text


def test_less_work_than_lines_gets_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("tune") as tell:
        tell(1, 2)
        tell(2, 2)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_terminal_gets_a_bar_and_stdout_stays_clean(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("tune") as tell:
        tell(3, 4)
    assert "tune" in terminal.getvalue()
    assert "3/4" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_an_error_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), progress("tune"):
        raise ZeroDivisionError


def test_a_log_gets_a_line_in_half_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, *(10.0 * done for done in range(1, 13))])
    monkeypatch.setattr("benchmark.progress.time.perf_counter", lambda: next(clock))
    with progress("tune") as tell:
        for done in range(1, 13):
            tell(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["3/100,", "6/100,", "9/100,", "12/100,"]


def test_the_time_left_of_all_is_corrected_by_what_stages_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("benchmark.progress.time.perf_counter", lambda: now)
    told = OfAll(6)
    told.begin("raw@movie")
    assert told.line() == "stage 1 of 6 (raw@movie)"
    told.expected = {"raw": (1, 5.0), "base": (1, 30.0), "tune": (4, 60.0)}
    assert told.line() == "stage 1 of 6 (raw@movie), about 5 minutes left of all"  # 275 s
    now = 5.0
    told.begin("tallrec/dvc.yaml:base")
    now = 65.0  # twice as long as foretold
    told.begin("tallrec/dvc.yaml:tune@rt-movie-16-0")
    assert (
        told.line() == "stage 3 of 6 (tune@rt-movie-16-0), about 5 minutes left of all"
    )  # (65 + 69) / (35 + 69) * 240 s
    now = 500.0  # far longer: what is left is the others
    assert told.line() == "stage 3 of 6 (tune@rt-movie-16-0), about 4 minutes left of all"  # the same * 180 s
    told.skip("tallrec/dvc.yaml:tune@rt-movie-16-1")
    told.skip("tallrec/dvc.yaml:tune@rt-movie-64-0")
    told.begin("tallrec/dvc.yaml:tune@rt-movie-64-1")
    assert (
        told.line() == "stage 6 of 6 (tune@rt-movie-64-1), about 3 minutes left of all"
    )  # (500 + 69) / (95 + 69) * 60 s


def test_stages_that_run_together_take_the_time_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("benchmark.progress.time.perf_counter", lambda: now)
    told = OfAll(3, {"baselines": (2, 30.0), "report": (1, 10.0)})
    told.begin("baselines gru4rec movie", "baselines sasrec movie")
    now = 20.0
    expected = "stage 2 of 3 (baselines gru4rec movie, baselines sasrec movie), about 50 s left of all"
    assert told.line() == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(40.2, "40 s"), (540, "9 minutes"), (7200, "2.0 hours"), (3.6e6, "1,000 hours")]
)
def test_a_time_as_one_would_say_it(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
