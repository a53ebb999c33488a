"""What the kept run of `use smoke ledger` decides is what a larger run of its world decides, where that decides it.

`truths.json` was written by `large_world.py`, with other users and draws, before the preset was run.
"""

import json
from pathlib import Path

from benchmark.report.leaderboard.entry import read_entry
from benchmark.statistics.results import summarise
from benchmark.verdicts.claims import judge_claims
from benchmark.verdicts.evidence import Results

ROOT = Path(__file__).parents[2]
DECIDED = {"supported", "contradicted"}
TOLD = 7
"""Claims that the kept run decides, all as the larger one does."""


def test_what_both_runs_decide_is_decided_alike() -> None:
    entry = read_entry(ROOT / "tests/smoke/ledger")
    groups = summarise(entry.rows, entry.estimates)
    results = Results(groups, 0.95, (), model_is_papers=False, model="tiny LM", estimates=entry.estimates)
    verdicts = {claim.id: claim.verdict for claim in judge_claims(results)}
    truths = json.loads((ROOT / "tests/smoke/truths.json").read_text())["claims"]
    true = {name: claim["verdict"] for name, claim in truths.items()}
    assert verdicts.keys() == true.keys()
    decided = {name: verdict for name, verdict in verdicts.items() if verdict in DECIDED}
    assert decided.items() <= true.items()
    assert len(decided) == TOLD
