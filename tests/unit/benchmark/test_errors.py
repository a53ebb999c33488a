"""What the user can mend is one line and exit code 2; anything else is a traceback."""

import errno
from pathlib import Path

import pytest

from benchmark.errors import ConfigError, DataError, exit_code_of, last_words, reason_of, refuse_other_folder


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        with Path("/dev/full").open("wb", buffering=0) as stream:
            stream.write(b"x")

    assert exit_code_of(write) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {Path.cwd()}: No space left on device; ")
    assert said.count("\n") == 1


def test_another_error_of_the_system_is_a_bug() -> None:
    def fail() -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    with pytest.raises(ConnectionResetError):
        exit_code_of(fail)


def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of((tmp_path / "absent").unlink) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent'}: No such file or directory\n"
    (tmp_path / "file").touch()
    (tmp_path / "fol\nder").mkdir()

    def replace() -> None:
        (tmp_path / "file").replace(tmp_path / "fol\nder")

    assert exit_code_of(replace) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/fol\\nder: Is a directory\n"


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def read() -> None:
        tmp_path.read_bytes()

    assert exit_code_of(read) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: Is a directory\n"


def test_what_a_terminal_would_act_on_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise DataError("a\x1b[2J\nb")

    assert exit_code_of(refuse) == 2
    assert capsys.readouterr().err == "error: a\\x1b[2J\\nb\n"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Error(s) in loading state_dict for Model:\n\tsize mismatch for q_proj", "size mismatch for q_proj"),
        ("401 Client Error. (Request ID: Root=1)\n\nRepository Not Found for url: x", "Repository Not Found"),
        ("Couldn't instantiate the tokenizer from one of:\n(1) a file,\n(2) a slow tokenizer", "Couldn't instantiate"),
        ("", "ValueError"),
    ],
)
def test_the_reason_is_told_in_whichever_line_it_stands(message: str, reason: str) -> None:
    assert reason in reason_of(ValueError(message))
    assert "\n" not in reason_of(ValueError(message))
    assert reason_of(KeyError("magic")) == "KeyError: 'magic'"
    assert len(reason_of(ValueError("x" * 1000))) == 400


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "no message"),
        ("one\ntwo\n", "two"),
        ("a warning\nerror: data/raw: not there\n", "data/raw: not there"),
        ("Traceback\nValueError: no\n  more of it\n", "ValueError: no"),
        ("ERROR: failed to lock\nHaving any troubles? Ask us.\n", "ERROR: failed to lock"),
        (
            "Fatal Python error: Segmentation fault\n\nCurrent thread:\n  File x",
            "Fatal Python error: Segmentation fault",
        ),
        ("error: first\nRuntimeError: " + "x" * 500, "RuntimeError: " + "x" * 386),
    ],
)
def test_of_what_a_process_has_said_the_reason_is_told(output: str, reason: str) -> None:
    assert last_words(output) == reason


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder, name in ((own, "records.parquet"), (other, "thesis.tex")):
        folder.mkdir()
        refuse_other_folder(folder, "records.parquet")
        (folder / name).touch()
    refuse_other_folder(own, "records.parquet")
    refuse_other_folder(tmp_path / "new", "records.parquet")
    with pytest.raises(ConfigError, match=r"/other: holds other files, which would be lost; expected a new"):
        refuse_other_folder(other, "records.parquet")
    with pytest.raises(ConfigError, match=r"thesis\.tex: a file, expected a folder"):
        refuse_other_folder(other / "thesis.tex")


def test_ctrl_c_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert exit_code_of(interrupted) == 130
    assert capsys.readouterr().err == "interrupted\n"
