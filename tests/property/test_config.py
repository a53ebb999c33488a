"""Properties of the configuration and of presets, over values nobody thought of."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.config.overlays import changed_keys, merged
from benchmark.config.reading import parse_yaml
from benchmark.errors import ConfigError
from benchmark.methods.configuration import parse_config

ROOT = Path(__file__).parents[2]
PARAMS = Path("params.yaml")
TEXT = (ROOT / "params.yaml").read_text()
SECTIONS = parse_yaml(TEXT, PARAMS)
INTEGERS = [
    (section, key)
    for section, values in SECTIONS.items()
    if isinstance(values, dict)
    for key, value in values.items()
    if type(value) is int
]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=3)


@given(st.sampled_from(INTEGERS), VALUES)
def test_any_value_is_kept_as_it_is_or_refused_in_one_line(place: tuple[str, str], value: Any):
    section, key = place
    content = SECTIONS | {section: SECTIONS[section] | {key: value}}
    problem = None
    try:
        kept = getattr(getattr(parse_config(content, PARAMS), section), key)
    except ConfigError as error:
        problem = str(error)
    if problem is None:
        assert kept == value
        assert isinstance(kept, bool) == isinstance(value, bool)
    else:
        assert problem.startswith("params.yaml: ")
        assert "\n" not in problem


@settings(max_examples=20)
@given(st.sampled_from(INTEGERS), st.integers())
def test_merging_changes_the_named_key_alone(place: tuple[str, str], value: int):
    section, key = place
    changed = merged(TEXT, f"{section}:\n  {key}: {value}  # ours: any\n")
    expected = [] if SECTIONS[section][key] == value else [(f"{section}.{key}", SECTIONS[section][key], value)]
    assert list(changed_keys(SECTIONS, parse_yaml(changed, PARAMS))) == expected
    differing = [pair for pair in zip(TEXT.splitlines(), changed.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(differing) == 1  # with its comment, for an equal value too


def test_enough_places_are_tried():
    assert len(INTEGERS) > 20
