from pathlib import Path

from tallrec.models.origin import file_digests


def test_digests_tell_files_apart(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "one").write_text("1")
    (tmp_path / "inner" / "two").write_text("2")
    digests = file_digests(tmp_path)
    assert list(digests) == ["inner/two", "one"]
    (tmp_path / "one").write_text("3")
    assert file_digests(tmp_path)["one"] != digests["one"]
    assert file_digests(tmp_path)["inner/two"] == digests["inner/two"]
