"""`constraints.txt`: one version of every package that `pyproject.toml` leads to, and of no other. No network.

`make lock` resolves, and CI compares. This follows the requirements of what is installed. What a package asks for that
is not, such as one of the extra `servers`, the `# via` lines of the file say.
"""

import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "constraints.txt").read_text()
DIRECT = (
    *PROJECT["project"]["dependencies"],
    *(line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines),
    *(line for lines in PROJECT["dependency-groups"].values() for line in lines),
)
PIN = re.compile(r"([a-z0-9-]+)==([0-9a-z.]+)")  # no local part: each build of torch has the same version
VIA = re.compile(r"    # (?:via$|via (\S+)| {2}(\S+))")
OF_A_BUILD = re.compile(r"(cuda|nvidia|triton|pytorch-triton)\b.*")
"""What torch asks for on a GPU, in versions of its own: not locked, so that one file serves every build."""
OLDEST = {"python_version": "3.11", "python_full_version": "3.11.0"}
"""The interpreter that the file is resolved for."""


@dataclass
class Pin:
    """What the file says of a package: its version, and who asks for it."""

    version: str
    via: set[str] = field(default_factory=set)


@dataclass
class Walk:
    """What requirements lead to."""

    asked: defaultdict[str, list[Requirement]] = field(default_factory=lambda: defaultdict(list))
    """All that is asked of a package."""
    absent: set[str] = field(default_factory=set)
    """Packages that are not installed: what they ask for is not known."""


def asked_by(name: str, extra: str, environment: dict[str, str]) -> Iterator[Requirement]:
    """What an installed package asks for with one of its extras, or without (""), where these markers hold."""
    known = {entry["name"]: entry["requires-dist"] for entry in PROJECT["tool"]["uv"]["dependency-metadata"]}
    for line in known.get(name, requires(name) or ()):
        requirement = Requirement(line)
        is_of_a_build = name == "torch" and OF_A_BUILD.fullmatch(canonicalize_name(requirement.name))
        if not is_of_a_build and (
            not requirement.marker or requirement.marker.evaluate(environment | {"extra": extra})
        ):
            yield requirement


@functools.cache
def walk(direct: tuple[str, ...], on_oldest: bool = False) -> Walk:
    """Every package that is reached, with the markers of this interpreter or of the oldest one."""
    environment = OLDEST if on_oldest else {}
    found, seen, ahead = Walk(), set[tuple[str, str]](), [Requirement(line) for line in direct]
    while ahead:
        requirement = ahead.pop()
        name = canonicalize_name(requirement.name)
        found.asked[name].append(requirement)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                try:
                    ahead += asked_by(name, extra, environment)
                except PackageNotFoundError:
                    found.absent.add(name)
    return found


def read(text: str) -> tuple[dict[str, Pin], list[str]]:
    """The pins, and what is wrong with lines that are none."""
    pins: dict[str, Pin] = {}
    wrong: list[str] = []
    for line in text.splitlines():
        if via := VIA.match(line):
            pins[[*pins][-1]].via |= set(filter(None, via.groups()))
        elif (pin := PIN.fullmatch(line)) and pin[1] not in pins:
            pins[pin[1]] = Pin(pin[2])
        elif not line.startswith("#"):
            wrong.append(f"{line}: not the one pin of a package")
    return pins, wrong


def problems(text: str, direct: tuple[str, ...] = DIRECT) -> list[str]:
    """All that is wrong with a `constraints.txt` for these requirements."""
    pins, wrong = read(text)
    asked = walk(direct).asked
    wrong += [f"{name}: no pin" for name in asked if name not in pins]
    for name in asked.keys() & pins:
        version = pins[name].version
        excluding = [one for one in asked[name] if not one.specifier.contains(version, prereleases=True)]
        wrong += [f"{name}=={version}: not {one}" for one in excluding]
    required = set(walk(direct, on_oldest=True).asked)
    absent = set(walk(direct, on_oldest=True).absent)
    while more := {name for name in pins.keys() - required if pins[name].via & absent}:
        required |= more
        absent |= more
    return wrong + [f"{name}: nothing requires it" for name in sorted(pins.keys() - required)]


def changed(name: str, by: str) -> str:
    """The file with something else for the pin of a package and its `# via` lines."""
    text, n_changes = re.subn(rf"^{re.escape(name)}==.*\n(    #.*\n)+", by, LOCK, flags=re.MULTILINE)
    assert n_changes == 1
    return text


def test_every_requirement_has_one_pin_and_every_pin_a_requirement():
    assert problems(LOCK) == []


def test_a_pin_that_is_missing_is_named():
    names = walk(DIRECT).asked
    assert len(names) > 150, "the walk goes through what is installed"
    assert [name for name in names if f"{name}: no pin" not in problems(changed(name, ""))] == []


@pytest.mark.parametrize(
    "via",
    ["", "    # via\n    #   accelerate\n    #   joblib\n", "    # via tallrec-bench (pyproject.toml)\n"],
    ids=["nobody", "packages that do not", "a project that does not"],
)
def test_a_pin_that_nothing_requires_is_named(via: str):
    assert problems(f"{LOCK}matplotlib==3.11.2\n{via}") == ["matplotlib: nothing requires it"]


def test_a_requirement_that_is_gone_leaves_no_pin():
    kept = tuple(line for line in DIRECT if not line.startswith("trl"))
    assert problems(LOCK, kept) == ["trl: nothing requires it"]


@pytest.mark.parametrize(
    ("name", "version", "why"),
    [
        ("torch", "2.12.0", "torch<3,>=2.13"),  # of pyproject.toml
        ("tokenizers", "0.99.0", "tokenizers<"),  # of transformers, while pyproject.toml admits it
        ("pydantic-core", "2.1.0", "pydantic-core=="),  # of pydantic, and not in pyproject.toml
    ],
)
def test_a_version_that_a_requirement_excludes_is_named(name: str, version: str, why: str):
    assert any(f"not {why}" in one for one in problems(changed(name, f"{name}=={version}\n")))


@pytest.mark.parametrize("line", ["torch==2.13.0+cpu", "torch==2.13.0", "numpy>=2", "numpy", "-e ."])
def test_a_line_that_is_no_pin_or_a_second_one_is_named(line: str):
    assert problems(f"{LOCK}{line}\n") == [f"{line}: not the one pin of a package"]


def test_packages_of_one_build_of_torch_are_not_locked():
    assert all(OF_A_BUILD.fullmatch(name) for name in PROJECT["tool"]["uv"]["exclude-dependencies"])
    of_builds = {name for name in read(LOCK)[0] if OF_A_BUILD.fullmatch(name)}
    assert of_builds == {"nvidia-ml-py"}, "which pyproject.toml names"


def test_setuptools_is_locked_in_the_version_that_builds():
    assert f"setuptools=={read(LOCK)[0]['setuptools'].version}" in PROJECT["build-system"]["requires"]
