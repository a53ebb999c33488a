"""Every command of README.md and docs/running.md, as printed, in a fresh clone; exceptions have their reasons."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import ROOT, run

NOT_RUN = {
    r"make install|pip install": "asks the package index",
    r"/path/to/": "is a place to be filled in with the real files",
    r"use real-cpu .*&& make repro|use real-cpu && make repro": "takes hours on the real files",
    r"HF_HUB_OFFLINE=0": "downloads LLaMA-7B",
    r"OPENAI_API_KEY=": "asks a model that costs money",
}
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:make|tallrec-bench|dvc|git|pip|export) \S")
BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def scripts(text: str, *, with_spans: bool) -> Iterator[list[str]]:
    """The lines of each block of commands on a page; and of each command in running text and tables."""
    for block in BLOCK.findall(text):
        if all(COMMAND.match(line) for line in block.splitlines()):
            yield block.splitlines()
    if with_spans:
        yield from ([span] for span in re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)) if COMMAND.match(span))


def may_run(line: str) -> bool:
    return not any(re.search(pattern, line) for pattern in NOT_RUN)


@pytest.mark.slow
def test_every_command_runs_as_printed_in_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(ROOT), str(clone))
    run(clone, "git", "checkout", "-q", "-B", "main")
    # What `make install` makes, of the packages that run this test.
    (clone / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (clone / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (clone / ".venv/.installed").touch()
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "t")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "t@t")
    monkeypatch.delenv("TALLREC_BENCH_MIRROR", raising=False)
    (clone / "FOLDER").mkdir()  # of the other machine that docs/running.md speaks of
    pages = ("docs/running.md", "README.md")  # the second needs the run that the first commits
    done: list[list[str]] = []
    for lines in (one for page in pages for one in scripts((clone / page).read_text(), with_spans=page == "README.md")):
        todo = [line for line in lines if may_run(line)]
        if todo in done:
            continue
        print(*todo, sep="\n", flush=True)
        run(clone, "sh", "-c", "\n".join(f"{{ {line}\n}} || exit" for line in todo))  # a shell goes on after `a && b`
        done.append(todo)
        run(clone, "git", "checkout", "-q", ".")  # each block begins with what is committed
        if (clone / "results/metrics.csv").exists():
            for name in ("metrics.csv", "influence.parquet"):
                shutil.copy(clone / "results" / name, clone / "FOLDER")
    assert ["make smoke"] in done
    assert ["make look"] in done
