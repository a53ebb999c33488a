"""Files outside the repository that stages have read, which DVC does not watch."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import BASE_MODEL, STARTS, raw_folder, texts_file
from benchmark.config.in_context import LocalModelParams
from benchmark.config.params import Params
from benchmark.data.domains import raw_files
from benchmark.data.sources import MANIFEST, OUTSIDE, ManifestEntry, SourceFile, checksum, chosen_mirror, read_manifest
from benchmark.methods.configuration import load_config

ORIGIN = BASE_MODEL / "origin.json"


def changed_files(params_yaml: Path) -> list[tuple[Path, str]]:
    """Files of the mirror or of a folder that are not what a stage has read, each with that stage.

    Raises:
        ConfigError: `params_yaml` is not valid. Where there is no such file, there is no stage either.
    """
    if not params_yaml.exists():
        return []
    params = load_config(params_yaml)
    instruct, encoder = params.instruct, params.baselines.text_encoder.model
    found = [*_of_mirror(params), *_of_model(params.llm.model), *_of_gguf(params.llm.model), *_of_others(params)]
    found += _of_record(STARTS / "tallrec" / OUTSIDE, instruct.adapter or instruct.data, "tallrec/dvc.yaml:instruct")
    for domain in params.grid.domains if encoder else ():
        found += _of_record(texts_file(domain).with_name(OUTSIDE), str(encoder), f"encode@{domain}")
    return found


def _of_mirror(params: Params) -> Iterator[tuple[Path, str]]:
    mirror = chosen_mirror(params.data.mirror)
    for domain, section in params.domains.items():
        folder = raw_folder(domain)
        if mirror is None or section.source == "embedded" or not (folder / MANIFEST).exists():
            continue
        manifest = read_manifest(folder)
        for file in raw_files(section):
            entry = manifest.get(file.name)
            source = entry and _in_mirror(file, entry, mirror)
            if entry and source and checksum(source) != entry["sha256"]:
                yield source, f"raw@{domain}"


def _in_mirror(file: SourceFile, entry: ManifestEntry, mirror: Path) -> Path | None:
    """What stage `raw` would take now. What a stand-in took the place of may have come since."""
    names = [file.path, *([file.stand_in] if file.stand_in and entry["origin"] == "mirror" else [])]
    return next((mirror / name for name in names if (mirror / name).is_file()), None)


def _of_model(model: str) -> Iterator[tuple[Path, str]]:
    if ORIGIN.exists():
        origin = read_json(ORIGIN)
        if origin.get("sizes") and origin["model"] == model:
            files: dict[str, str] = origin["files"]
            yield from (
                (Path(model, name), "tallrec/dvc.yaml:base")
                for name in files
                if _is_other(Path(model, name), files[name])
            )


def _of_gguf(model: str) -> Iterator[tuple[Path, str]]:
    """A GGUF file that is not in a package, of which pip says that it does not change."""
    if ORIGIN.exists():
        origin = read_json(ORIGIN)
        digest = origin.get("gguf_sha256")
        if digest and origin["model"] == model and _is_other(Path(model), digest):
            yield Path(model), "tallrec/dvc.yaml:base"


def _of_others(params: Params) -> Iterator[tuple[Path, str]]:
    """Files of the folders in `icl.models`, as the records of their cells have them."""
    for name, section in params.icl.models.items():
        if isinstance(section, LocalModelParams):
            for prompt in params.grid.prompts:
                record = next(iter(sorted(Path(f"runs/icl/icl-{name}-{prompt}").rglob("*.json"))), None)
                files: dict[str, str] = read_json(record).get("files", {}) if record else {}
                stage = f"others@{name}-{prompt}"
                yield from (
                    (Path(section.model, one), stage)
                    for one in files
                    if _is_other(Path(section.model, one), files[one])
                )


def _of_record(record: Path, source: str, stage: str) -> Iterator[tuple[Path, str]]:
    """Files of `source`, which `params.yaml` names now: a record of another one is out of date, as DVC knows."""
    if record.exists():
        digests: dict[str, str] = read_json(record)
        for path in map(Path, digests):
            if path.is_relative_to(source) and _is_other(path, digests[str(path)]):
                yield path, stage


def _is_other(path: Path, sha256: str) -> bool:
    """Whether a file is not what it was; one that is gone was read before."""
    return path.is_file() and checksum(path) != sha256
