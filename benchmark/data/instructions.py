"""Instruction data that `instruct.data` may name, taken from a mirror or its address as the files of a domain are."""

from collections.abc import Mapping

from benchmark.data.sources import SourceFile

INSTRUCTIONS: Mapping[str, SourceFile] = {
    # 1,000 rows of general instructions, in the place of the paper's 52,000, which no mirror here holds.
    "alpaca-demo": SourceFile(
        path="alpaca/alpaca_en_demo.json",
        url="https://raw.githubusercontent.com/hiyouga/LLaMA-Factory/3053a806e9c55c27159e77ee240a6e050f12e675/data/"
        "alpaca_en_demo.json",
        sha256="bcc37c64db1a739a0789a1b81f251146fcf4459f903474bc9e3c21bbb5628318",
    ),
}
"""By name."""
