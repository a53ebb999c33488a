"""Files of scores from elsewhere: three formats give the same, and each way to be wrong is one line with its place."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data.external_scores import WITNESSES, read_external_scores
from benchmark.errors import DataError, MissingArtifactError
from benchmark.schema import Interaction, Prediction, Sample

N = 6
SAMPLES = tuple(
    Sample(f"movie-{n}", f"u{n // 3}", (Interaction(f"i{n + 1}", liked=n % 2 == 0),), f"i{n}") for n in range(N)
)
Rows = Sequence[dict[str, Any]]


def rows(*columns: str) -> list[dict[str, Any]]:
    """A row a sample, the last one first, with some of the witnesses."""
    own = ({"sample_id": s.sample_id, **{name: WITNESSES[name](s) for name in columns}} for s in SAMPLES)
    return [{**row, "score": n / 7} for n, row in enumerate(own)][::-1]


def write_csv(path: Path, content: Rows) -> None:
    lines = [",".join(map(str, row.values())) for row in content]
    path.write_text("\n".join([",".join(content[0]), *lines, ""]))


def write_json_lines(path: Path, content: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))


def write_parquet(path: Path, content: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(list(content)), path)


FORMATS = {"scores.csv": write_csv, "scores.jsonl": write_json_lines, "scores.parquet": write_parquet}
formats = pytest.mark.parametrize(("name", "write"), FORMATS.items(), ids=FORMATS)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_external_scores(path, SAMPLES)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@formats
@pytest.mark.parametrize("columns", [(), ("user_id", "item_id"), ("digest",), tuple(WITNESSES)], ids="+".join)
def test_each_format_gives_each_sample_its_own_score(
    name: str, write: Callable[[Path, Rows], None], columns: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path / name, rows(*columns))
    predictions, witnesses = read_external_scores(tmp_path / name, SAMPLES)
    assert sorted(predictions, key=lambda p: p.sample_id) == [Prediction(f"movie-{n}", n / 7) for n in range(N)]
    assert tuple(witnesses) == columns


def test_numbers_as_ids_are_the_same_ids(tmp_path: Path) -> None:
    samples = [Sample(str(n), str(n), (), str(n)) for n in range(N)]
    content = [{"sample_id": n, "user_id": n, "score": n} for n in range(N)]
    write_parquet(tmp_path / "scores.parquet", content)
    assert len(read_external_scores(tmp_path / "scores.parquet", samples)[0]) == N


@pytest.mark.parametrize("ids", [[f"{n}.0" for n in range(N)], [float(n) for n in range(N)]], ids=["text", "number"])
def test_ids_with_a_point_that_a_join_left_are_the_same_ids(ids: list[Any], tmp_path: Path) -> None:
    samples = [Sample(f"movie-{n}", str(n), (), f"movie-{n}") for n in range(N)]
    content = [{"sample_id": f"movie-{n}", "user_id": ids[n], "score": n} for n in range(N)]
    write_parquet(tmp_path / "scores.parquet", content)
    assert len(read_external_scores(tmp_path / "scores.parquet", samples)[0]) == N


def test_a_column_that_stands_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    ids, numbers = pa.array([sample.sample_id for sample in SAMPLES]), pa.array([float(n) for n in range(N)])
    table = pa.Table.from_arrays([ids, numbers, numbers], names=["sample_id", "score", "score"])
    pq.write_table(table, tmp_path / "scores.parquet")
    assert refused(tmp_path / "scores.parquet") == "a column stands twice in sample_id, score, score"


@formats
@pytest.mark.parametrize("columns", [("user_id",), ("item_id",), ("digest",)], ids="+".join)
def test_a_permuted_id_column_contradicts_its_rows(
    name: str, write: Callable[[Path, Rows], None], columns: tuple[str, ...], tmp_path: Path
) -> None:
    content = rows(*columns)
    ids = [row["sample_id"] for row in content]
    permuted = [{**row, "sample_id": other} for row, other in zip(content, [*ids[3:], *ids[:3]], strict=True)]
    write(tmp_path / name, permuted)
    said = refused(tmp_path / name)
    assert said.startswith(
        ("row 1: " if name.endswith("parquet") else f"line {2 - name.endswith('jsonl')}: ") + columns[0]
    )
    assert "the ids are not in the order of their rows" in said


def test_what_repeats_nothing_of_the_samples_says_so(tmp_path: Path) -> None:
    content = rows()
    ids = [row["sample_id"] for row in content]
    write_csv(tmp_path / "scores.csv", [{**r, "sample_id": i} for r, i in zip(content, ids[::-1], strict=True)])
    assert read_external_scores(tmp_path / "scores.csv", SAMPLES)[1] == []  # nobody can tell; the page says that


def test_rows_of_another_history_have_another_digest(tmp_path: Path) -> None:
    write_csv(tmp_path / "scores.csv", rows("digest"))
    others = [Sample(s.sample_id, s.user_id, s.history * 2, s.target_item_id) for s in SAMPLES]
    with pytest.raises(DataError, match="or the file is of other test rows"):
        read_external_scores(tmp_path / "scores.csv", others)


def changed(number: int, **values: Any) -> list[dict[str, Any]]:
    content = rows()
    content[number] |= values
    return content


@formats
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (rows()[:-2], "2 of 6 test samples have no row, e.g. 'movie-0'"),
        (changed(2, sample_id="movie-5"), "{2}: 'movie-5' stands in {0} already"),
        (changed(2, sample_id="book-3"), "{2}: 'book-3' is no sample of this test set of 6 rows"),
        (changed(1, score=float("nan")), "{1}: score 'nan', expected a finite number"),
        (changed(1, score=float("-inf")), "{1}: score '-inf', expected a finite number"),
        (
            [{**row, "score": f"{row['score']:.2f} "} | {"score": "high"} for row in rows()],
            "{0}: score 'high', expected",
        ),
        ([{"sample_id": row["sample_id"], "scroe": row["score"]} for row in rows()], "column 'scroe' is not one of"),
        ([{"sample_id": row["sample_id"]} for row in rows()], "no column 'score'; expected sample_id, score"),
    ],
    ids=["missing", "doubled", "unknown", "nan", "infinite", "no number", "misspelled column", "no score"],
)
def test_what_is_wrong_is_one_line_with_its_row(
    name: str, write: Callable[[Path, Rows], None], content: Rows, expected: str, tmp_path: Path
) -> None:
    write(tmp_path / name, content)
    first, word = {"csv": (2, "line"), "jsonl": (1, "line"), "parquet": (1, "row")}[name.rpartition(".")[2]]
    said = refused(tmp_path / name).replace("score nan", "score 'nan'").replace("score -inf", "score '-inf'")
    assert said.startswith(expected.format(*(f"{word} {first + n}" for n in range(3))))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("scores.csv", b"", "6 of 6 test samples have no row"),
        ("scores.csv", b"sample_id,score,score\nmovie-1,1,2\n", "line 1: a column stands twice"),
        (
            "scores.csv",
            b"sample_id,score\nmovie-1,1,2\n",
            "line 2: more values than the header has columns (sample_id, score)",
        ),
        ("scores.csv", b"sample_id,score\nmovie-1,1\nmovie-2\n", "line 3: expected the columns sample_id, score"),
        ("scores.csv", b"sample_id,score\n\xff\xfe,1\n", "cannot be read as .csv"),
        (
            "scores.csv",
            b"sample_id,score\nmovie-1,0,5\n",
            "line 2: more values than the header has columns",
        ),
        ("scores.csv", b"sample_id,score\nmovie-1\n", "line 2: expected the columns sample_id, score, got fewer"),
        (
            "scores.csv",
            b"sample_id,score,user_id\nmovie-1,1\n",
            "line 2: expected the columns sample_id, score, user_id",
        ),
        ("scores.jsonl", b'{"sample_id": "movie-1", "score": 1}\n{"sample_id"\n', "line 2: no JSON"),
        ("scores.jsonl", b"[1, 2]\n", "line 1: expected an object, got [1, 2]"),
        ("scores.jsonl", b'{"sample_id": "movie-1", "score": true}\n', "line 1: score True, expected a finite number"),
        ("scores.jsonl", b'{"sample_id": "movie-1", "score": ' + b"9" * 400 + b"}\n", "line 1: score "),
        ("scores.jsonl", b'{"sample_id": "movie-1", "score": 1, "score": 2}\n', "line 1: no JSON (a key stands twice)"),
        ("scores.csv", b"sample_id,score\nmovie-1,1_0\n", "line 2: score '1_0', expected a finite number"),
        ("scores.parquet", b"PAR1", "cannot be read as .parquet"),
        ("scores.xlsx", b"", "expected a name that ends in one of .csv, .parquet, .jsonl, .ndjson"),
    ],
)
def test_a_file_that_is_none_is_one_line(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name).startswith(expected)


@formats
def test_scores_that_are_all_the_same_are_refused(
    name: str, write: Callable[[Path, Rows], None], tmp_path: Path
) -> None:
    write(tmp_path / name, [row | {"score": 0.5} for row in rows()])
    assert refused(tmp_path / name) == "all 6 scores are 0.5, expected an order of the samples"


@pytest.mark.parametrize("name", FORMATS)
def test_a_pointer_and_another_encoding_are_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "a pointer of git LFS" in refused(tmp_path / name)
    (tmp_path / name).write_bytes("sample_id,score\n".encode("utf-16"))
    assert "UTF-16" in refused(tmp_path / name)
    (tmp_path / name).write_bytes(gzip.compress(b"sample_id,score\n"))
    assert "packed (gzip): unpack or export it first" in refused(tmp_path / name)
    (tmp_path / name).write_bytes(b"PK\x03\x04xl/workbook.xml")
    assert "packed (zip, as workbooks are too)" in refused(tmp_path / name)


@pytest.mark.parametrize("name", ["scores.csv", "scores.jsonl"])
def test_empty_lines_are_no_rows(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    FORMATS[name](path, rows())
    path.write_text(path.read_text().replace("\n", "\n\n") + "\n")
    assert len(read_external_scores(path, SAMPLES)[0]) == len(SAMPLES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match="a file of scores that `external`"):
        read_external_scores(tmp_path / "scores.csv", SAMPLES)
