"""Presets merge into `params.yaml` without touching what they do not name, and `smoke` undoes all others."""

import functools
from pathlib import Path

import pytest

from benchmark.config.overlays import (
    ABSENT,
    GENERATED,
    changed_keys,
    generated_preset,
    merged,
    preset_names,
    preset_text,
)
from benchmark.config.reading import parse_yaml
from benchmark.errors import ConfigError
from benchmark.methods.configuration import parse_config

ROOT = Path(__file__).parents[4]
PARAMS = Path("params.yaml")
TEXT = (ROOT / "params.yaml").read_text()
UNPINNED = {f"llm/{name}" for name in ("qwen2-1.5b", "qwen3-0.6b-base", "qwen3-1.7b-base", "qwen3-8b-base")} | {
    "llm/smollm2-360m"
}
"""Presets of a Hub model whose commit nobody has looked up: `tallrec-bench pin` does."""
BASE = """\
# head
a:
  one: 1    # ours: one
  two: [1,
        2]  # ours: two

b:  # section
  format: x  # ours: x
  key: 1     # ours: only x has it

# tail
c: 3  # ours: three
"""


def test_presets_are_found():
    assert {"smoke", "real-cpu", "paper", "llm/tiny", "llm/llama-7b", "llm/qwen2.5-0.5b"} <= set(preset_names())


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_gives_a_valid_configuration(name: str):
    content = parse_yaml(merged(TEXT, preset_text(name)), PARAMS)
    assert parse_config(content, PARAMS, needs_commits=False).grid.domains
    if name in UNPINNED:
        with pytest.raises(ConfigError, match=r"llm\.revision: expected the commit of .* run `tallrec-bench pin`"):
            parse_config(content, PARAMS)
    else:
        parse_config(content, PARAMS)


@pytest.mark.parametrize("name", preset_names())
def test_smoke_undoes_every_preset(name: str):
    changed = merged(TEXT, preset_text(name))
    assert (changed == TEXT) is (name in GENERATED)
    assert merged(changed, preset_text("smoke")) == TEXT


@pytest.mark.parametrize("name", GENERATED)
def test_generated_presets_are_current(name: str):
    assert preset_text(name) == generated_preset(name, TEXT), "run python -m benchmark.config.overlays"


def test_paper_is_its_own_language_model():
    assert merged(TEXT, preset_text("paper")) == merged(merged(TEXT, preset_text("paper")), preset_text("llm/llama-7b"))


def test_a_value_comes_with_its_comment_and_the_rest_stays():
    assert merged(BASE, "a:\n  one: 5  # paper: five\n") == BASE.replace(
        "one: 1    # ours: one", "one: 5  # paper: five"
    )


def test_a_value_over_several_lines_is_replaced_whole():
    assert merged(BASE, "a:\n  two: [3]  # paper: three\n") == BASE.replace(
        "two: [1,\n        2]  # ours: two", "two: [3]  # paper: three"
    )


def test_an_equal_value_keeps_its_comment_where_the_preset_has_none():
    assert merged(BASE, "a:\n  two: [1, 2]\nc: 3\n") == BASE
    assert merged(BASE, "c: 3  # paper: three\n") == BASE.replace("c: 3  # ours: three", "c: 3  # paper: three")


@pytest.mark.parametrize("names", [preset_names(), preset_names()[::-1]], ids=["forwards", "backwards"])
def test_smoke_undoes_all_presets_after_each_other(names: list[str]):
    assert functools.reduce(lambda text, name: merged(text, preset_text(name)), [*names, "smoke"], TEXT) == TEXT


def test_a_section_with_a_format_is_replaced_whole():
    changed = merged(BASE, "b:\n  format: y  # ours: y\n  other: 2  # ours: only y has it\n")
    assert parse_yaml(changed, PARAMS)["b"] == {"format": "y", "other": 2}
    assert changed.endswith("\n\n# tail\nc: 3  # ours: three\n")


def test_a_new_key_goes_to_the_end_of_its_section():
    changed = merged(BASE, "a:\n  three: 3  # ours: new\n")
    assert "        2]  # ours: two\n  three: 3  # ours: new\n\nb:" in changed


def test_new_keys_keep_their_order():
    changed = merged(BASE, "a:\n  three: 3  # ours: new\n  four: 4  # ours: new\n")
    assert changed.index("three") < changed.index("four")


def test_new_keys_of_a_section_and_of_the_last_one_in_it_keep_their_levels():
    changed = merged("a:\n  b:\n    x: 1\n", "a:\n  c: 3\n  b:\n    y: 2\n    z: 3\n  d: 4\n")
    assert changed == "a:\n  b:\n    x: 1\n    y: 2\n    z: 3\n  c: 3\n  d: 4\n"


def test_a_text_at_the_end_is_replaced_whole():
    assert merged("a: |\n  text", "a: other\n") == "a: other\n"


def test_the_key_after_a_text_of_several_lines_stays():
    assert merged("a:\n  x: |\n    text\n  y: 2\nb: 3\n", "a:\n  x: other\n") == "a:\n  x: other\n  y: 2\nb: 3\n"


def test_changed_keys_are_leaves():
    before = parse_yaml(BASE, PARAMS)
    after = parse_yaml(merged(BASE, "a: {one: 2, two: [1, 2]}\nb: {format: y}\n"), PARAMS)
    assert list(changed_keys(before, after)) == [
        ("a.one", 1, 2),
        ("b.format", "x", "y"),
        ("b.key", 1, ABSENT),
    ]


def test_an_unknown_preset_is_refused_with_a_guess():
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        preset_text("papr")


def test_a_preset_is_no_path():
    with pytest.raises(ConfigError, match="expected one of"):
        preset_text("../paper")
