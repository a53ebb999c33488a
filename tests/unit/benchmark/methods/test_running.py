"""What the record of a cell says of its predictions."""

from pathlib import Path

from benchmark.artifacts.files import read_json
from benchmark.artifacts.provenance import run_file
from benchmark.methods.running import write_cells
from benchmark.schema import Cell, FewShotTask, Prediction


def test_a_record_counts_the_prompts_that_had_no_room(repository: Path, toy_task: FewShotTask) -> None:
    def record(prompts: str, n_dropped: list[tuple[float, float]]) -> dict[str, object]:
        cell = Cell("icl", f"icl-base-{prompts}", "movie", "movie", 2, 0)
        predictions = [
            Prediction(
                sample.sample_id,
                0.1 * place,
                {"n_dropped_demonstrations": shown, "n_dropped_interactions": old, "n_dropped_tokens": 0},
            )
            for place, (sample, (shown, old)) in enumerate(zip(toy_task.test, n_dropped, strict=True))
        ]
        write_cells([cell], lambda _: toy_task, lambda _: predictions, {}, seconds=1.0)
        return read_json(run_file(cell))

    n_samples = len(toy_task.test)
    assert record("gpt", [(1, 0), (2, 3), (0, 2)] + [(0, 0)] * (n_samples - 3))["n_truncated"] == 3
    assert record("paper", [(0, 0)] * n_samples)["n_truncated"] == 0


def test_a_method_that_writes_no_prompt_has_none_to_count(repository: Path, toy_task: FewShotTask) -> None:
    cell = Cell("control", "random", "movie", "movie", 0, 0)
    predictions = [Prediction(sample.sample_id, 0.1 * place) for place, sample in enumerate(toy_task.test)]
    write_cells([cell], lambda _: toy_task, lambda _: predictions, {}, seconds=1.0)
    assert "n_truncated" not in read_json(run_file(cell))
