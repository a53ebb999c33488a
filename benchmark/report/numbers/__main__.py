"""Compare the numbers of README.md and docs/ with the files that they are from.

Exits with 1 if one is wrong or has no source; `--write` mends those that are wrong.

Usage: python -m benchmark.report.numbers [--write]
"""

import argparse
import sys

from benchmark.errors import exit_code_of
from benchmark.report.numbers.pages import line_of, mend, wrong_numbers


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what the files say")
    is_mending = parser.parse_args().write
    n_left = 0

    def work() -> None:
        nonlocal n_left
        wrong, problems = wrong_numbers()
        for line in [*map(line_of, wrong), *problems]:
            print(line)
        if is_mending:
            mend(wrong)
        n_left = len(problems) + (0 if is_mending else len(wrong))

    return exit_code_of(work) or min(n_left, 1)


if __name__ == "__main__":
    sys.exit(main())
