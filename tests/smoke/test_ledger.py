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
"""Claims that the kept run and the larger one decide."""
NOT_TOLD = {"at_alone_is_below_rt"}
"""Decided by the kept run (3.6, margin 3.5), and not by the larger ones (1.0, margin 2.0; -1.8, margin 2.5)."""


def test_what_both_runs_decide_is_decided_alike() -> None:
    entry = read_entry(ROOT / "tests/smoke/ledger")
    groups = summarise(entry.rows, entry.estimates)
    results = Results(groups, 0.95, (), model_is_papers=False, model="tiny LM", estimates=entry.estimates)
    verdicts = {claim.id: claim.verdict for claim in judge_claims(results)}
    truths = json.loads((ROOT / "tests/smoke/truths.json").read_text())["claims"]
    assert verdicts.keys() == truths.keys()
    decided = {name: verdict for name, verdict in verdicts.items() if verdict in DECIDED}
    known = {name: truths[name]["verdict"] for name in decided if truths[name]["verdict"] in DECIDED}
    assert decided.keys() - known.keys() == NOT_TOLD
    assert {name: decided[name] for name in known} == known
    assert len(known) == TOLD
    again = json.loads((ROOT / "tests/smoke/truths.json").read_text())["more_draws"]
    assert {name for name, claim in again.items() if claim["verdict"] not in DECIDED} == NOT_TOLD
