"""Coverage-guided fuzzing of the readers that are written in Python; needs `pip install atheris`.

libFuzzer keeps the inputs that reach new lines and goes on from them, and ends at the first that breaks a reader: with
another error than those of the project, or after ten seconds. One process a reader, since it ends its process.

Usage: python tests/harden/guided.py all --seconds 60
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["benchmark", "tallrec"]):
    from benchmark.config.reading import parse_yaml
    from benchmark.data.domains import bookcrossing, movielens, rating_columns, released_csv, released_json
    from benchmark.data.domains.titles import plain
    from benchmark.errors import BenchmarkError
    from benchmark.statistics.results import read_rows
    from tallrec.api.bodies import body_of, reply_of
    from tallrec.prompts.instructions import read_instructions

FOLDER = Path(tempfile.mkdtemp(prefix="guided."))
BOOK = bookcrossing.Params.model_construct(noun="book", zero_ratings="drop", min_ratings=4)
ROWS = released_csv.Params.model_construct(noun="book", history_length=10)


def answer(content: bytes) -> None:
    try:
        reply_of(body_of(content))
    except ValueError:  # what `tallrec.api.client` tries again
        return


def title(content: bytes) -> None:
    once = plain(content.decode("utf-8", "replace"))
    assert plain(once) == once
    assert len(once.splitlines()) <= 1


def in_file(read: Callable[[Path], object], name: str = "input") -> Callable[[bytes], object]:
    def run(content: bytes) -> object:
        (FOLDER / name).write_bytes(content)
        return read(FOLDER / name)

    return run


QUESTION = 'User Unpreference: \nWhether the user will like the target book ""C" written by D"?'
PROMPT = {"input": f'User Preference: "A" written by B\n{QUESTION}', "output": "Yes."}
READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "u.data": (in_file(lambda path: movielens._read_ratings(path, {"1": "A"})), b"1\t1\t3\t88\n"),
    "u.item": (in_file(movielens._read_titles), b"1|A|x\n"),
    "bx-books": (
        in_file(lambda path: bookcrossing._read_books(path, BOOK)),
        b'"ISBN";"Book-Title";"Book-Author"\n"1";"A";"B"\n',
    ),
    "released-json": (in_file(lambda path: list(released_json._read_prompts(path))), json.dumps([PROMPT]).encode()),
    "released-csv": (
        in_file(lambda path: list(released_csv._read_rows(path, "book", ROWS))),
        b'user,history_item_id,history_rating,item_id,rating\n1,"[1, 2]","[1, 0]",3,1\n',
    ),
    "ratings-csv": (
        in_file(lambda path: rating_columns.read_ratings(path, "csv", {"1": "A"}, 3.0)),
        b"userId,movieId,rating,timestamp\n1,1,4.0,88\n",
    ),
    "instructions": (
        in_file(lambda path: read_instructions(str(path)), "i.json"),
        b'[{"instruction": "a", "output": "b"}]',
    ),
    "metrics": (in_file(read_rows), b"family,method\n"),
    "yaml": (lambda content: parse_yaml(content.decode("utf-8", "replace"), Path("x")), b"a: {b: [1, x]}\n"),
    "answers": (answer, b'{"choices": [{"text": "Yes", "logprobs": {"top_logprobs": [{"Yes": -1}]}}]}'),
    "titles": (title, b"A <s> [SEP] ###"),
}


def one_line(read: Callable[[bytes], object], content: bytes) -> None:
    try:
        read(content)
    except BenchmarkError as error:
        problem = str(error)
        assert problem.isprintable(), problem


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one reader; ends the process."""
    read, valid = READERS[name]
    with tempfile.TemporaryDirectory(prefix="guided.") as corpus:
        Path(corpus, "valid").write_bytes(valid)
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=4096", "-print_final_stats=1", "-verbosity=0"]
        atheris.Setup([sys.argv[0], corpus, *limits, f"-artifact_prefix={FOLDER}/"], partial(one_line, read))
        atheris.Fuzz()


def main() -> int:
    """Fuzz one reader or each in turn; 1 if one broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=["all", *READERS])
    parser.add_argument("--seconds", type=int, default=60, help="of each reader")
    arguments = parser.parse_args()
    if arguments.reader != "all":
        fuzz(arguments.reader, arguments.seconds)
    broken = []
    for name in READERS:
        command = [sys.executable, __file__, name, "--seconds", str(arguments.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        count = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed" in line), "?")
        print(f"{name:<16}{count:>12}{'' if done.returncode == 0 else '  broken'}", flush=True)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
            broken.append(name)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
