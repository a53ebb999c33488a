"""The cache of answers: what it keeps, that it outlives a kill, and what it says of a file that is none."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from benchmark.errors import DataError
from tallrec.api.cache import default_cache_file, key_of, opened

REPOSITORY = Path(__file__).parents[4]
QUESTION = {"address": "http://a/v1", "body": {"model": "m", "prompt": "Like \u00e9?"}}
BODY = {"choices": [{"text": "Yes \u2713"}]}


def test_a_question_is_known_by_all_of_it_and_not_by_its_order() -> None:
    turned = dict(reversed(QUESTION.items()))
    assert list(turned) != list(QUESTION)
    assert key_of(turned) == key_of(QUESTION)
    assert key_of(QUESTION | {"address": "http://b/v1"}) != key_of(QUESTION)
    assert key_of({"body": {"n": 1}}) != key_of({"body": {"n": "1"}})


def test_an_answer_stays_until_another_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "answers.sqlite3"
    with opened(path) as cache, opened(path) as other:
        assert cache.get("k") is None
        cache.put("k", QUESTION, BODY)
        assert other.get("k") == BODY
        other.put("k", QUESTION, {"choices": []})
    with opened(path) as cache:
        assert cache.get("k") == {"choices": []}
        assert cache.get("other") is None


def test_an_answer_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    script = f"""
        import os, signal
        from pathlib import Path
        from tallrec.api.cache import opened
        with opened(Path({str(path)!r})) as cache:
            for n in range(50):
                cache.put(str(n), {{}}, {{"n": n}})
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    with opened(path) as cache:
        assert [cache.get(str(n)) for n in range(50)] == [{"n": n} for n in range(50)]


def test_what_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 20)
    named = r"answers\.sqlite3: the cache of answers cannot be used, [\d.]+ MB free: "
    with pytest.raises(DataError, match=named), opened(path):
        pass


def test_the_cache_is_shared_by_all_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_file() == tmp_path / "tallrec-bench" / "answers.sqlite3"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_file() == tmp_path / "home" / ".cache" / "tallrec-bench" / "answers.sqlite3"
