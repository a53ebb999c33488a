"""How many times faster ours is than the plain way, in one run of `make bench`, against the ratios in git.

Seconds differ from machine to machine; a ratio of two ways to do the same work in one process hardly does.

Usage: python tests/benchmarks/ratios.py BENCHMARKS.json           exit code 1 if a ratio fell by half or is missing
       python tests/benchmarks/ratios.py BENCHMARKS.json --write   keep them as those to compare with
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

KEPT = Path(__file__).with_name("ratios.json")
OURS = "ours"
LOWEST = 0.5
"""Of the ratio in git: what is lost beyond this is a change of the code, not the machine."""


def ratios(benchmarks: Path) -> dict[str, float]:
    """Shortest time of the other way over ours, of each group that pytest-benchmark wrote with both."""
    times: dict[str, dict[str, float]] = defaultdict(dict)
    for one in json.loads(benchmarks.read_text())["benchmarks"]:
        if one["group"] and one["param"]:
            times[one["group"]][one["param"]] = one["stats"]["min"]
    return {
        group: min(seconds for way, seconds in of_group.items() if way != OURS) / of_group[OURS]
        for group, of_group in times.items()
        if OURS in of_group and len(of_group) > 1
    }


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", type=Path, help="what pytest wrote with --benchmark-json")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    found = ratios(arguments.benchmarks)
    if arguments.write:
        KEPT.write_text(json.dumps({group: round(ratio, 2) for group, ratio in found.items()}, indent=2) + "\n")
    kept: dict[str, float] = json.loads(KEPT.read_text())
    table = Table("work", "times faster", "in git", "")
    lost = 0
    for group in dict.fromkeys([*kept, *found]):
        ratio, before = found.get(group), kept.get(group)
        is_lost = before is not None and (ratio is None or ratio < LOWEST * before)
        lost += is_lost
        numbers = ("missing" if value is None else f"{value:.1f}" for value in (ratio, before))
        table.add_row(group, *numbers, "LOST" if is_lost else "new" if before is None else "")
    Console().print(table)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
