"""Raw files: official address or mirror, verified by checksum; and records of other files from outside."""

import errno
import hashlib
import logging
import lzma
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from benchmark.artifacts.files import read_json, replacing_folder, write_bytes, write_json
from benchmark.artifacts.paths import MIRROR_VARIABLE
from benchmark.errors import NO_ROOM, DataError, SchemaError, refuse_pointer

MANIFEST = "manifest.json"
OUTSIDE = "outside.json"
"""Which files outside the repository a stage has read, with their digests; `tallrec-bench verify` compares them."""

MOST_BYTES = 1 << 33
"""Of an unpacked file; the largest known, the ratings of MovieLens-32M, has a tenth of it."""
BROKEN_ARCHIVE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, struct.error, zlib.error, lzma.LZMAError)
"""What `zipfile` raises, also of members that are encrypted (RuntimeError) or packed in an unknown way."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One raw file of a domain."""

    path: str
    """Below the mirror folder, e.g. `ml-100k/u.data`; its last part is the name below `data/raw/<domain>`."""
    url: str
    """Where it is published; empty: nowhere, it is a user's own."""
    sha256: str | None
    """None: no checksum is known; the reader's own counts are the only check."""
    stand_in: str | None = None
    """Mirror path of a smaller file that may take its place; the report says so."""
    archive_member: str | None = None
    """Path inside the archive at `url`, if `url` is an archive."""
    is_derived: bool = False
    """Whether it was made from what lies at `url`, so that a mirror alone has it."""

    @property
    def name(self) -> str:
        """File name below `data/raw/<domain>`."""
        return Path(self.path).name


class ManifestEntry(TypedDict):
    """What `manifest.json` says of one raw file."""

    sha256: str
    origin: Literal["official", "mirror", "embedded"]
    stand_in: str | None
    """Name of the smaller file that took its place."""


def chosen_mirror(configured: str | None) -> Path | None:
    """The mirror folder: the environment variable, else `data.mirror` of `params.yaml`, else none."""
    folder = os.environ.get(MIRROR_VARIABLE) or configured
    return Path(folder) if folder else None


def fetch(files: Sequence[SourceFile], folder: Path, mirror: Path | None) -> None:
    """Put `files` and their manifest into `folder`, whole or not at all.

    Args:
        files: what the domain's format needs.
        folder: `data/raw/<domain>`; replaced.
        mirror: where the files are taken from; None: from their official addresses.

    Raises:
        DataError: a file can't be had, or isn't the one with the known checksum.
    """
    downloads = folder.parent / ".downloads"
    with replacing_folder(folder) as temporary:
        manifest: dict[str, ManifestEntry] = {}
        for file in files:
            destination = temporary / file.name
            if mirror is None and not file.url:
                raise DataError(f"{file.path}: expected in a mirror folder; set {MIRROR_VARIABLE} or data.mirror to it")
            if mirror is None:
                manifest[file.name] = _from_address(file, destination, downloads)
            else:
                manifest[file.name] = _from_mirror(file, destination, mirror)
        write_json(temporary / MANIFEST, manifest)
    shutil.rmtree(downloads, ignore_errors=True)


def describe_embedded(folder: Path) -> None:
    """Write the manifest of a folder whose files the embedded world wrote."""
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    manifest = {name: ManifestEntry(sha256=checksum(folder / name), origin="embedded", stand_in=None) for name in names}
    write_json(folder / MANIFEST, manifest)


def describe_outside(folder: Path, read: Iterable[Path]) -> None:
    """Write which files outside the repository what `folder` holds was made of; no record if there is none."""
    digests = {str(path): checksum(path) for path in read}
    if digests:
        write_json(folder / OUTSIDE, digests)


def read_manifest(folder: Path) -> dict[str, ManifestEntry]:
    """The manifest of `data/raw/<domain>`, by file name.

    Raises:
        MissingArtifactError: stage `raw` did not write the folder.
        SchemaError: the file is not what it wrote.
    """
    content = read_json(folder / MANIFEST)
    try:
        return TypeAdapter(dict[str, ManifestEntry]).validate_python(content)
    except ValidationError as error:
        raise SchemaError(f"{folder / MANIFEST}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _from_mirror(file: SourceFile, destination: Path, mirror: Path) -> ManifestEntry:
    source = mirror / file.path
    refuse_pointer(source)
    if source.is_file():
        shutil.copyfile(source, destination)
        return ManifestEntry(sha256=_verified(file, destination, source), origin="mirror", stand_in=None)
    if file.stand_in is None or not (mirror / file.stand_in).is_file():
        advice = f"take it from {_where(file)}" if file.url else f"put your own there, as {file.path}"
        raise DataError(f"{source}: not in the mirror; {advice}")
    refuse_pointer(mirror / file.stand_in)
    stand_in = Path(file.stand_in).name
    _LOG.warning("%s is not in the mirror: %s stands in for it, and the report says so", file.path, stand_in)
    shutil.copyfile(mirror / file.stand_in, destination)
    return ManifestEntry(sha256=checksum(destination), origin="mirror", stand_in=stand_in)


def _from_address(file: SourceFile, destination: Path, downloads: Path) -> ManifestEntry:
    from benchmark.data.download import DownloadError, download

    if file.is_derived:
        raise DataError(
            f"{file.path}: made from {file.url} (docs/data.md), expected in a mirror that {MIRROR_VARIABLE} names"
        )
    # A folder that ignores itself: what a broken download left survives until the next try, outside of git.
    write_bytes(downloads / ".gitignore", b"*\n")
    local = downloads / f"{hashlib.sha256(file.url.encode()).hexdigest()[:16]}-{Path(file.url).name}"
    try:
        if not local.exists():
            download(file.url, local)
    except DownloadError as error:
        raise DataError(
            f"{file.path}: could not download {file.url} ({error}); by hand: get {_where(file)}, put it into "
            f"a mirror folder as {file.path}, and set {MIRROR_VARIABLE} to that folder"
        ) from None
    try:
        if file.archive_member is None:
            shutil.copyfile(local, destination)
        else:
            _extract(local, file, destination)
        sha256 = _verified(file, destination, Path(file.url))
    except DataError:
        # What is complete and wrong must not be found again by the next try.
        local.unlink()
        raise
    return ManifestEntry(sha256=sha256, origin="official", stand_in=None)


def _extract(archive: Path, file: SourceFile, destination: Path) -> None:
    """Write one named member to `destination`; the paths inside the archive are never used as paths.

    A member that is a link gives the text of the link. `zipfile` reads no more than the size that is checked here.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            size = members.getinfo(str(file.archive_member)).file_size
            if size > MOST_BYTES:
                raise DataError(f"{file.url}: {file.archive_member} claims {size} bytes, expected {MOST_BYTES} at most")
            with members.open(str(file.archive_member)) as source, destination.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    except KeyError:
        raise DataError(f"{file.url}: the archive has no {file.archive_member}") from None
    except (*BROKEN_ARCHIVE, OSError) as error:
        if isinstance(error, OSError) and error.errno in {*NO_ROOM, errno.EIO}:
            raise  # the disk's fault: the archive is whole, and the next try goes on with it
        raise DataError(f"{file.url}: not a readable zip archive ({error})") from None


def _verified(file: SourceFile, path: Path, source: Path) -> str:
    """Checksum of `path`, refused unless it is the known one."""
    found = checksum(path)
    if file.sha256 is not None and found != file.sha256:
        altered = "; copies of u.data with an altered rating circulate" if file.name == "u.data" else ""
        raise DataError(
            f"{file.path} ({source}): sha256 is {found}, expected {file.sha256}: not the released "
            f"file{altered}; take it from {_where(file)}"
        )
    return found


def _where(file: SourceFile) -> str:
    return f"{file.url} (member {file.archive_member})" if file.archive_member else file.url
