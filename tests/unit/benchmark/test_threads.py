"""torch never counts on threads that OpenMP does not start."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.threads import threads_for

REPOSITORY = Path(__file__).parents[3]
PRODUCT = """
import torch
from benchmark.threads import threads_for

torch.set_num_threads(threads_for(2))
first, second = torch.arange(200 * 576).reshape(200, 576) % 7, torch.arange(576 * 1536).reshape(576, 1536) % 5
product = first.bfloat16() @ second.bfloat16()
assert torch.equal(product, (first.double() @ second.double()).bfloat16())
"""


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 4),
        ({"OMP_THREAD_LIMIT": "1"}, 1),
        ({"OMP_THREAD_LIMIT": " 3"}, 3),
        ({"OMP_THREAD_LIMIT": "8"}, 4),
        ({"OMP_DYNAMIC": "TRUE"}, 1),
        ({"OMP_DYNAMIC": "false"}, 4),
        # Which OpenMP leaves aside.
        ({"OMP_THREAD_LIMIT": "0"}, 4),
        ({"OMP_THREAD_LIMIT": "two"}, 4),
    ],
)
def test_what_the_environment_allows(
    environment: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_THREAD_LIMIT", "OMP_DYNAMIC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert threads_for(4) == threads


@pytest.mark.parametrize("limit", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}])
def test_a_product_in_bfloat16_is_whole_under_a_limit(limit: dict[str, str]) -> None:
    """Half of it would be what lay in the memory, where oneDNN multiplies."""
    subprocess.run([sys.executable, "-c", PRODUCT], check=True, cwd=REPOSITORY, env=os.environ | limit)


def test_all_that_sets_threads_asks() -> None:
    modules = (
        path for package in ("benchmark", "baselines", "tallrec") for path in (REPOSITORY / package).rglob("*.py")
    )
    set_to = {found for path in modules for found in re.findall(r"\bset_num_threads\(([^\n]*)\)", path.read_text())}
    assert {told for told in set_to if not told.startswith("threads_for(")} == {"1", "before"}
