"""`CITATION.cff` says of this software what `pyproject.toml` and the README say."""

import re
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
CITATION = YAML(typ="safe").load(ROOT / "CITATION.cff")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = {"cff-version", "message", "title", "authors"}  # by version 1.2.0 of the format


def test_the_file_has_what_its_format_requires():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION.keys() >= REQUIRED
    assert all(author.keys() <= {"name"} or author.keys() >= {"family-names"} for author in CITATION["authors"])


def test_it_is_this_software_in_this_version():
    cited = [CITATION[key] for key in ("type", "title", "version", "license")]
    assert cited == ["software", PROJECT["name"], PROJECT["version"], PROJECT["license"]]


def test_its_address_is_one_that_the_project_names():
    assert CITATION.get("repository-code") in (None, *PROJECT.get("urls", {}).values())


def test_the_paper_is_that_of_the_readme():
    (paper,) = CITATION["references"]
    names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    entry = dict(re.findall(r"^  (\w+) += \{(.*)\},?$", (ROOT / "README.md").read_text(), re.MULTILINE))
    title = entry["title"].replace("{", "").replace("}", "")
    assert (entry["author"], title) == (names, paper["title"])
    assert (entry["year"], entry["doi"]) == (str(paper["year"]), paper["doi"])
