import io
import sys

import pytest

from benchmark.progress import N_LOG_LINES, a_second, progress


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
