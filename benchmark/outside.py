"""Files outside the repository that stages have read, which DVC does not watch."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.config import load_config
from benchmark.domains import raw_files
from benchmark.files import read_json
from benchmark.params import Params
from benchmark.paths import BASE_MODEL, raw_folder
from benchmark.sources import MANIFEST, checksum, chosen_mirror, read_manifest

REFERENCE = BASE_MODEL / "reference.json"


def changed_files(params_yaml: Path) -> list[tuple[Path, str]]:
    """Files of the mirror and of a language model in a folder that are not what a stage has read, each with the stage.

    Raises:
        ConfigError: `params_yaml` is not valid. Where there is no such file, there is no stage either.
    """
    if not params_yaml.exists():
        return []
    return [*_of_mirror(load_config(params_yaml)), *_of_model()]


def _of_mirror(params: Params) -> Iterator[tuple[Path, str]]:
    mirror = chosen_mirror(params.data.mirror)
    for domain, section in params.domains.items():
        folder = raw_folder(domain)
        if mirror is None or section.source == "embedded" or not (folder / MANIFEST).exists():
            continue
        manifest = read_manifest(folder)
        for file in raw_files(section):
            entry = manifest.get(file.name)
            if entry is None or entry["origin"] != "mirror":
                continue
            # What a stand-in took the place of may have come since.
            paths = [mirror / file.path, *([mirror / file.stand_in] if file.stand_in else [])]
            path = next((path for path in paths if path.is_file()), None)
            if path is not None and checksum(path) != entry["sha256"]:
                yield path, f"raw@{domain}"


def _of_model() -> Iterator[tuple[Path, str]]:
    if REFERENCE.exists():
        reference = read_json(REFERENCE)
        for name, sha256 in reference["files"].items():
            path = Path(reference["model"], name)
            if reference["weights"] != "random" and path.is_file() and checksum(path) != sha256:
                yield path, "base"
