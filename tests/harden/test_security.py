"""Weights and code: only safetensors are read, no code of a model runs, no archive writes outside its folder."""

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.reading import parse_yaml
from benchmark.data.sources import SourceFile, _extract
from benchmark.errors import ConfigError, DataError
from benchmark.methods.configuration import load_config, parse_config

ROOT = Path(__file__).parents[2]
MEMBER = "set/ratings.csv"


@pytest.fixture
def file() -> SourceFile:
    return SourceFile("set/ratings.csv", "http://127.0.0.1/set.zip", None, archive_member=MEMBER)


def test_names_in_an_archive_are_never_paths(tmp_path: Path, file: SourceFile):
    folder, archive = tmp_path / "raw", tmp_path / "set.zip"
    folder.mkdir()
    link = zipfile.ZipInfo(MEMBER)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(link, str(outside))
        for name in ("../evil", "/evil", f"{tmp_path}/evil", "set/../../evil", "..\\evil"):
            members.writestr(name, b"evil")
    _extract(archive, file, folder / file.name)
    assert not (folder / file.name).is_symlink()
    assert (folder / file.name).read_text() == str(outside)
    for name in ("../evil", "/evil", f"{tmp_path}/evil"):
        asked = SourceFile("set/../ratings.csv", file.url, None, archive_member=name)
        _extract(archive, asked, folder / asked.name)
        assert (folder / "ratings.csv").read_bytes() == b"evil"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside.txt", "raw", "set.zip"]
    assert [path.name for path in folder.iterdir()] == ["ratings.csv"]
    assert outside.read_text() == "secret"


@pytest.mark.parametrize("change", ["encrypted", "cut"])
def test_an_archive_that_cannot_be_read_is_one_line(tmp_path: Path, file: SourceFile, change: str):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(MEMBER, b"x" * 1000)
    content = bytearray(archive.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    if change == "encrypted":
        content[6] |= 1
        content[central + 8] |= 1
    archive.write_bytes(content[: central + 10] if change == "cut" else content)
    with pytest.raises(DataError, match="not a readable zip archive") as caught:
        _extract(archive, file, tmp_path / "ratings.csv")
    assert str(caught.value).isprintable()


def test_an_archive_may_not_fill_the_disk(tmp_path: Path, file: SourceFile, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmark.data.sources.MOST_BYTES", 999)
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(MEMBER, b"x" * 1000)
    with pytest.raises(DataError, match="claims 1000 bytes, expected 999 at most"):
        _extract(archive, file, tmp_path / "ratings.csv")
    assert not (tmp_path / "ratings.csv").exists()


CODE = "from pathlib import Path\nPath({marker!r}).write_text('ran')\n"
CONFIGS: dict[str, dict[str, Any]] = {
    "unknown": {
        "model_type": "evil",
        "auto_map": {
            "AutoConfig": "evil.Config",
            "AutoModelForCausalLM": "evil.Model",
            "AutoModel": "evil.Model",
            "AutoTokenizer": ["evil.Tokenizer", None],
        },
    },
    "known": {"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoModel": "evil.Model"}},
}


@pytest.mark.parametrize("kind", ["unknown", "known"])
def test_code_beside_a_model_never_runs(kind: str, tmp_path: Path):
    from baselines.text_encoder import encode_texts
    from tallrec.models.loading import load_model
    from tallrec.models.loading_settings import Loading

    folder, marker = tmp_path / "model", tmp_path / "ran"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS[kind]))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}))
    (folder / "evil.py").write_text(CODE.format(marker=str(marker)))
    with pytest.raises(DataError, match="cannot load"):
        load_model(str(folder), None, Loading("float32", "none", n_threads=1), key="llm.model")
    with pytest.raises(DataError, match="cannot load"):
        encode_texts(["x"], str(folder), None, max_length=8, batch_size=1, n_threads=1, tell=lambda *_: None)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.safetensors"])
def test_a_base_whose_weights_are_pickled_or_broken_is_refused(
    name: str, tmp_path: Path, tiny_model: Any, tokenizer: Any
):
    import torch

    from tallrec.models.loading import load_model, save_base
    from tallrec.models.loading_settings import Loading

    save_base(tiny_model, tokenizer, tmp_path)
    weights = tmp_path / "model.safetensors"
    if name == "model.safetensors":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        weights.unlink()
        torch.save(tiny_model.state_dict(), tmp_path / name)
    with pytest.raises(DataError, match=r"llm\.model: cannot load") as caught:
        load_model(str(tmp_path), None, Loading("float32", "none", n_threads=1), key="llm.model")
    assert str(caught.value).isprintable()
    if name != "model.safetensors":
        assert "safetensors" in str(caught.value)


def test_remote_code_cannot_be_switched_on():
    params = parse_yaml((ROOT / "params.yaml").read_text(), Path("params.yaml"))
    for section in ("llm", "base", "lora"):
        with pytest.raises(ConfigError, match=f"{section}.trust_remote_code: unknown key"):
            parse_config(params | {section: params[section] | {"trust_remote_code": True}}, Path("params.yaml"))
    sources = [path for folder in ("benchmark", "baselines", "tallrec") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 90
    for path in sources:
        text = path.read_text()
        assert "trust_remote_code=True" not in text, path
        assert "import pickle" not in text, path


def test_yaml_builds_no_objects_and_blows_up_into_nothing(tmp_path: Path):
    path = tmp_path / "params.yaml"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for text, problem in (
        ("x: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        (bomb, "more than 100000 values"),
        ("x: &x [*x]\n", "more than 100000 values or 50 levels"),
        (f"x: {'[' * 2000}\n", "not valid YAML"),
        ("x: 2001-99-99\n", "not valid YAML"),
        ("? [a, b]\n: c\n", "expected text as a key"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=problem) as caught:
            load_config(path)
        assert str(caught.value).isprintable()
