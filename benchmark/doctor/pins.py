"""`tallrec-bench pin`: the commits of what `params.yaml` names of the Hub, asked of the Hub itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.artifacts.files import write_bytes
from benchmark.config.names import unknown
from benchmark.config.overlays import with_texts
from benchmark.config.reading import parse_yaml, read_yaml
from benchmark.errors import ConfigError, DataError, ServerError, reason_of
from benchmark.methods.configuration import parse_config
from benchmark.methods.pinning import COMMIT, HubRepository, hub_repositories
from benchmark.weights import SHARDED, WHOLE

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, ModelInfo

WEIGHTS = (WHOLE, SHARDED)
"""What transformers loads, whole or in shards; no pickle is ever read."""
TIMEOUT_SECONDS = 30.0
SENSELESS = (ValueError, TypeError, LookupError, AttributeError)
"""What the client raises for an answer that is not one of the Hub, or a name that cannot be one."""
MOST_NAMES = 12
"""Of files that an error lists."""


def pin(path: Path, keys: Sequence[str], *, update: bool) -> list[str]:
    """Write the commits that the Hub has now into `params.yaml`, all or none; its comments stay.

    Args:
        path: `params.yaml`.
        keys: those that name what is to be pinned, e.g. `llm.model`; none: all that name a repository of the Hub.
        update: whether what has a commit gets that of today's default branch.

    Returns:
        A line for each repository: what was written, or that it was pinned before.

    Raises:
        ConfigError: `params.yaml` is wrong otherwise, or a key names no repository of the Hub.
        DataError: a model has no weights as safetensors.
        ServerError: the Hub is not reached, or has no such repository for this user.
    """
    named = _chosen(path, keys)
    asked = [repository for repository in named if update or not repository.is_pinned]
    # A branch or a tag is what the user wants to be pinned to; a commit is what `update` leaves.
    commits = {one: _commit(one, None if one.is_pinned else one.revision) for one in asked}
    if commits:
        text = with_texts(
            path.read_text(encoding="utf-8"), {one.commit_key: _value(one, commits[one]) for one in asked}
        )
        parse_config(parse_yaml(text, path), path, needs_commits=False)
        write_bytes(path, text.encode())
    return [_line(one, commits.get(one)) for one in named] or [f"{path}: names nothing of the Hub"]


def _chosen(path: Path, keys: Sequence[str]) -> list[HubRepository]:
    """What `keys` name, or everything, in the order of `params.yaml`."""
    params = parse_config(read_yaml(path), path, needs_commits=False)
    found = {".".join(repository.key): repository for repository in hub_repositories(params)}
    for key in keys:
        if key not in found:
            problem = unknown(key, found) if found else f"{key!r} is none: nothing of the Hub is named"
            raise ConfigError(f"{path}: expected a key that names a repository of the Hub, {problem}")
    return [repository for key, repository in found.items() if not keys or key in keys]


def _line(repository: HubRepository, commit: str | None) -> str:
    key, named = ".".join(repository.commit_key), f"{repository.name} at {commit or repository.revision}"
    if commit is None:
        return f"{key}: {named} already; --update asks the Hub again"
    return f"{key}: {named}{', as before' if commit == repository.revision else ', written'}"


def _value(repository: HubRepository, commit: str) -> str:
    return commit if repository.commit_key != repository.key else f"hub:{repository.name}@{commit}"


def _commit(repository: HubRepository, revision: str | None) -> str:
    """The commit that `revision`, or the default branch, is at now."""
    info = _info(repository, revision)
    commit, where = info.sha, f"{'.'.join(repository.key)}: {repository.name}"
    if commit is None or not COMMIT.fullmatch(commit):
        raise ServerError(f"{where}: expected a commit of 40 hex digits from the Hub, got {commit!r:.60}")
    files = [file.rfilename for file in info.siblings or ()]
    if repository.has_weights and not set(WEIGHTS) & {*files}:
        names = ", ".join(files[:MOST_NAMES]) + (f" and {len(files) - MOST_NAMES} more" * (len(files) > MOST_NAMES))
        raise DataError(
            f"{where}: expected weights as safetensors, {' or '.join(WEIGHTS)}; it has {names or 'no file'}"
        )
    return commit


def _info(repository: HubRepository, revision: str | None) -> "ModelInfo | DatasetInfo":
    """What the Hub says of a repository.

    Raises:
        ServerError: it says nothing.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]  # httpx's or httpx2's, as the version has it
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api, where = HfApi(), f"{'.'.join(repository.key)}: {repository.name}"
    ask = api.dataset_info if repository.kind == "dataset" else api.model_info
    try:
        return ask(repository.name, revision=revision, timeout=TIMEOUT_SECONDS)
    except OfflineModeIsEnabled:
        advice = "HF_HUB_OFFLINE=0 tallrec-bench pin"
        raise ServerError(f"{where}: HF_HUB_OFFLINE is set, and only the Hub knows its commit: {advice}") from None
    except RevisionNotFoundError:
        raise ServerError(f"{where}: {api.endpoint} has no revision {revision!r} of it") from None
    except RepositoryNotFoundError:
        advice = "where it is private or its licence has to be accepted, log in: hf auth login"
        raise ServerError(f"{where}: {api.endpoint} has no such {repository.kind} for you; {advice}") from None
    except (HTTPError, OSError, *SENSELESS) as error:
        reason = reason_of(error)
        raise ServerError(f"{where}: cannot ask {api.endpoint} for its commit: {reason:.200}") from None
