"""The shape of `claims.yaml`: what each kind of claim has, checked before any result is compared."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from benchmark.config.reading import read_yaml, validated
from benchmark.config.values import Count, Fraction, Name, PositiveFloat, Section
from benchmark.errors import ConfigError
from benchmark.verdicts import follow_ups

Train = Literal["same", "other", "both"]


class Shots(Section):
    """Bounds of K, both included."""

    at_least: Count = 0
    at_most: Count = 10**9


class Selector(Section):
    """Which groups of cells; what is left out selects all."""

    family: Literal["control", "baseline", "icl", "tuned", "external"]
    method: str = "*"
    other_than: Annotated[str, Field(alias="except")] = ""
    train: Train | tuple[Train, ...] = ("same", "other", "both")
    """Where it was tuned, seen from the test domain."""
    n_shots: Shots = Shots()
    except_k: Annotated[dict[str, tuple[Count, ...]], Field(default_factory=dict)]
    """Test domain -> K that are not picked there."""


class Needs(Section):
    """What a sentence names; a run that lacks some of it can't support the sentence. Empty: nothing in particular."""

    methods: tuple[str, ...] = ()
    """Of the right side, or of the groups judged."""
    n_shots: tuple[Count, ...] = ()
    domains: tuple[str, ...] = ()


class Claim(Section):
    """What every claim has."""

    id: Name
    sentence: str
    where: str
    """Of the paper, or `ours`."""
    kind: str
    of: Literal["paper", "ours", "field"]
    """Whose sentence it is; `field`: about the papers after it."""
    metric: Literal["auc", "equal_share_auc", "uauc"] = "auc"
    pooled: bool | Literal["over_k"] = False
    """Whether the mean of the comparisons is judged, not each of them; `over_k`: the mean over K of each pair."""
    needs: Needs = Needs()


class OfPairs(Claim):
    """Two groups are compared."""

    left: Selector
    right: Selector
    same_model: bool = False
    """Whether the right side is the method of the left one without its head."""


class WithinAllowance(OfPairs):
    """The left group may be worse by less than `allowance`."""

    allowance: Fraction


class OfGroups(Claim):
    """Each group is judged by itself."""

    groups: Selector


class WithinBand(OfGroups):
    """Each group is closer to chance than `band`."""

    band: Fraction


class OfPublished(Claim):
    """Published values are compared with groups of ours."""

    published: Selector
    right: Selector


class OfMemory(Claim):
    """A peak is compared with a limit."""

    limit_gb: PositiveFloat


KINDS: dict[str, type[Claim]] = {
    "greater_than": OfPairs,
    "within": WithinAllowance,
    "near_chance": WithinBand,
    "above_chance": OfGroups,
    "rises_with_k": OfGroups,
    "gap_closes": OfPairs,
    "published_above": OfPublished,
    "fits_in_memory": OfMemory,
    **dict.fromkeys(follow_ups.TESTS, Claim),
}
"""Kind of claim -> what it has; `benchmark.verdicts.claim_kinds.TESTS` has the test of each."""


def read_claims(path: Path) -> list[dict[str, Any]]:
    """The claims of a file, in its order.

    Raises:
        ConfigError: a claim has no known kind, lacks a key or has one of another type, or an id stands twice.
    """
    content = read_yaml(path)
    if content.keys() != {"claims"} or not isinstance(content["claims"], list):
        raise ConfigError(f"{path}: expected one key, claims, with a list")
    found: dict[str, dict[str, Any]] = {}
    for position, claim in enumerate(cast("list[object]", content["claims"])):
        if not isinstance(claim, dict):
            raise ConfigError(f"{path}: claims.{position}: expected a mapping, got {type(claim).__name__}")
        checked = _checked(cast("dict[str, Any]", claim), path, f"claims.{position}")
        if checked["id"] in found:
            raise ConfigError(f"{path}: claims.{position}.id: {checked['id']!r} stands twice")
        found[checked["id"]] = checked
    return list(found.values())


def _checked(claim: dict[str, Any], path: Path, key: str) -> dict[str, Any]:
    kind = claim.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{path}: {claim.get('id', key)}.kind: {kind!r:.60} is not one of {', '.join(KINDS)}")
    validated(KINDS[kind], claim, path, key)
    return claim
